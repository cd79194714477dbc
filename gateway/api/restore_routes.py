"""The routes of restores: who may see what is held, who may ask that it goes on, who approves."""

from typing import Final

from gateway.api import bodies, restores
from gateway.api import restore_answers as answers
from gateway.api.routes import JSON_BODY, Route

_READERS: Final = frozenset({"operator", "approver", "auditor"})
_OPERATOR: Final = frozenset({"operator"})
_APPROVER: Final = frozenset({"approver"})


def routes() -> list[Route]:
    """This part of the table."""
    return [
        Route(
            method="GET",
            path="/v1/restores",
            name="restores_list",
            view=restores.show,
            roles=_READERS,
            summary="Whether settlement is held after a restore, and what was paid before it",
            answers={200: answers.RestoresShown},
        ),
        Route(
            method="POST",
            path="/v1/restores",
            name="restores",
            view=restores.say,
            roles=_OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Say that the database was put back to an earlier moment; holds settlement",
            asks=bodies.RestoreBody,
            answers={201: answers.RestoresShown},
            codes=("state_conflict", "pan_not_allowed"),
        ),
        Route(
            method="POST",
            path="/v1/restores/{id}/lines",
            name="restored_lines",
            view=restores.decide,
            roles=_OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Say whose a line on a lost order is, or that it is none of ours",
            asks=bodies.RestoredLineBody,
            answers={200: answers.RestoresShown},
            codes=("not_found", "state_conflict", "pan_not_allowed"),
        ),
        Route(
            method="POST",
            path="/v1/restores/{id}/lift",
            name="restore_lifts",
            view=restores.ask,
            roles=_OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Ask that settlement goes on after a restore",
            asks=bodies.LiftBody,
            answers={201: answers.LiftAnswered},
            codes=("not_found", "state_conflict", "pan_not_allowed"),
        ),
        Route(
            method="POST",
            path="/v1/restore-lifts/{id}/approve",
            name="lifted_restores",
            view=restores.approve,
            roles=_APPROVER,
            body=JSON_BODY,
            keyed=True,
            summary="Let settlement go on, and book what was paid before; not for whoever asked",
            asks=bodies.NoBody,
            may_be_empty=True,
            answers={200: answers.LiftAnswered},
            codes=("not_found", "state_conflict"),
        ),
    ]
