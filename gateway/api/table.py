"""Every route of the gateway, in the order of the reference."""

from typing import Final

from gateway.acquirer_reports.layout import AUTO
from gateway.acquirer_reports.policy import Policy
from gateway.api import (
    acquirer_reports,
    acquirers,
    agreement_routes,
    answers,
    bank_statements,
    billers,
    bills,
    bodies,
    bulk,
    correction_routes,
    explanations,
    obligation_routes,
    own_routes,
    pages,
    payments,
    probes,
    recipient_routes,
    recipients,
    reconciliation_routes,
    restore_routes,
    scans,
    settlement,
    version_routes,
)
from gateway.api.preferences import APPLIED, MINIMAL
from gateway.api.routes import EVERYBODY, JSON_BODY, NO_BODY, STREAM, Route
from gateway.billers import xml
from gateway.flows.scan import Scan
from gateway.payouts.statements.reading import FORMATS

ACQUIRER: Final = frozenset({"acquirer"})
OPERATOR: Final = frozenset({"operator"})
APPROVER: Final = frozenset({"approver"})
READERS: Final = frozenset({"operator", "auditor"})

OSMP_NAMES: Final = ("command", "txn_id", "txn_date", "account", "sum", "cancel_txn_id")
SBER_NAMES: Final = ("ACTION", "ACCOUNT", "AMOUNT", "PAY_ID", "PAY_DATE", *OSMP_NAMES[:-1])

_SPLIT_CODES: Final = (
    "amount_out_of_range",
    "designation_out_of_range",
    "designation_exceeds_amount",
    "overpayment",
    "nothing_to_allocate",
    "total_out_of_range",
)


def routes() -> list[Route]:
    """The whole table."""
    return [
        *_payments(),
        *_afterwards(),
        *correction_routes.routes(),
        *_callbacks(),
        *_bills(),
        *_codes(),
        *_terms(),
        *version_routes.routes(),
        *agreement_routes.routes(),
        *_reports(),
        *_settlement(),
        *_payouts(),
        *obligation_routes.routes(),
        *reconciliation_routes.routes(),
        *restore_routes.routes(),
        *own_routes.routes(),
        *explanations.routes(),
        *recipient_routes.routes(),
        *_billers(),
        *_probes(),
    ]


def _payments() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/payments",
            name="payments",
            view=payments.take,
            roles=ACQUIRER,
            body=JSON_BODY,
            keyed=True,
            gated=True,
            summary="Take a payment; answered once it is durable",
            asks=bodies.PaymentBody,
            answers={201: answers.PaymentShown},
            codes=(
                *_SPLIT_CODES,
                "account_invalid",
                "method_invalid",
                "qr_invalid",
                "qr_crc_mismatch",
                "pan_not_allowed",
                "token_invalid",
                "token_expired",
                "token_replayed",
                "token_amount_mismatch",
            ),
        ),
        Route(
            method="GET",
            path="/v1/payments",
            name="payments_search",
            view=payments.search,
            roles=ACQUIRER | READERS,
            summary="Payments by account and time, oldest first; an acquirer sees its own",
            answers={200: answers.PaymentsShown},
            query=("subscriber_account", "from", "to", "cursor", "limit"),
            codes=("account_invalid",),
        ),
        Route(
            method="POST",
            path="/v1/payments/bulk",
            name="payments_bulk",
            view=bulk.take,
            roles=ACQUIRER,
            body=STREAM,
            summary="Take a stream of payments, each with its own idempotency_key",
            asks=bodies.BulkPaymentBody,
            answers={200: None},
            answer_types=("application/x-ndjson",),
            preferences=(MINIMAL,),
            headers=((APPLIED, "The preference that was followed, if any"),),
        ),
        Route(
            method="GET",
            path="/v1/payments/{id}",
            name="payment",
            view=payments.show,
            roles=ACQUIRER | READERS,
            summary="A payment as it stands now",
            answers={200: answers.PaymentStanding},
            codes=("not_found",),
        ),
    ]


def _afterwards() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/payments/{id}/refunds",
            name="refunds",
            view=payments.refund,
            roles=ACQUIRER,
            body=JSON_BODY,
            keyed=True,
            summary="Give a payment back, whole or in part",
            asks=bodies.RefundBody,
            answers={201: answers.RefundShown},
            codes=("not_found", "amount_out_of_range", "refund_exceeds_payment", "state_conflict"),
        ),
        Route(
            method="GET",
            path="/v1/payments/{id}/refunds/{refund}",
            name="refund",
            view=payments.show_refund,
            roles=ACQUIRER | READERS,
            summary="A refund as it stands now",
            answers={200: answers.RefundShown},
            codes=("not_found",),
        ),
        Route(
            method="POST",
            path="/v1/payments/{id}/resolve",
            name="resolutions",
            view=payments.resolve,
            roles=OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Place a payment that is held in suspense on its account",
            asks=bodies.ResolveBody,
            answers={200: answers.ResolutionShown},
            codes=("not_found", "account_invalid", "state_conflict", *_SPLIT_CODES),
        ),
        Route(
            method="POST",
            path="/v1/quotes",
            name="quotes",
            view=payments.quote,
            roles=ACQUIRER,
            body=JSON_BODY,
            summary="How a payment would be split now; nothing is stored",
            asks=bodies.QuoteBody,
            answers={200: answers.QuoteShown},
            codes=(
                *_SPLIT_CODES,
                "not_found",
                "account_invalid",
                "method_invalid",
                "pan_not_allowed",
            ),
        ),
    ]


def _callbacks() -> list[Route]:
    return [
        Route(
            method=method,
            path="/v1/acquirers/{name}/callbacks",
            name=name,
            view=acquirers.hear,
            roles=EVERYBODY,
            body=body,
            takes=acquirers.CALLBACK_TYPES if body is STREAM else (),
            summary="What an acquirer tells of an order, signed as that acquirer signs",
            answers={200: None},
            answer_types=("text/plain", "application/json"),
            codes=("not_found", "signature_invalid"),
        )
        for method, name, body in (
            ("POST", "acquirer_callbacks", STREAM),
            ("GET", "acquirer_callbacks_get", NO_BODY),
        )
    ]


def _bills() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/bills",
            name="bills",
            view=bills.load,
            roles=OPERATOR,
            body=STREAM,
            keyed=True,
            summary="Load bills, as a document or a bill a line; good ones are kept",
            asks=bodies.BillsBody,
            answers={200: answers.BillsLoaded},
        ),
        # Before the bill itself: an account may hold slashes.
        Route(
            method="GET",
            path="/v1/bills/{subscriber_account}/qr",
            name="bill_qr",
            view=scans.code_of_bill,
            roles=ACQUIRER | READERS,
            summary="The QR code of the open bill, for printing",
            answers={200: None},
            answer_types=tuple(scans.CODE_TYPES.values()),
            formats=tuple(scans.CODE_TYPES),
            codes=("not_found", "account_invalid"),
        ),
        Route(
            method="GET",
            path="/v1/bills/{subscriber_account}",
            name="bill",
            view=bills.show,
            roles=ACQUIRER | READERS,
            summary="The open bill with what each charge still owes",
            answers={200: answers.BillShown},
            codes=("not_found", "account_invalid"),
        ),
    ]


def _codes() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/scans",
            name="scans",
            view=scans.take,
            roles=ACQUIRER | OPERATOR,
            body=STREAM,
            summary="What a scanned code names: a bill's QR, an SBP link or a linear barcode",
            asks=bodies.ScanBody,
            takes=scans.PICTURE_TYPES,
            answers={200: Scan},
            codes=("qr_invalid", "qr_crc_mismatch", "pan_not_allowed"),
        ),
    ]


def _terms() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/recipients",
            name="recipients",
            view=recipients.list_all,
            roles=READERS,
            summary="Every recipient",
            answers={200: answers.RecipientsShown},
        ),
        Route(
            method="PUT",
            path="/v1/recipients/{id}",
            name="recipient_put",
            view=recipients.put,
            roles=OPERATOR,
            body=JSON_BODY,
            summary="Set a recipient, its requisites and its commission",
            asks=bodies.RecipientBody,
            answers={200: answers.RecipientShown},
            codes=("account_key_invalid", "inn_invalid", "fee_out_of_range"),
        ),
        Route(
            method="PUT",
            path="/v1/surcharges/{method}",
            name="surcharge_put",
            view=recipients.put_surcharge,
            roles=OPERATOR,
            body=JSON_BODY,
            summary="Set the surcharge on payments by a method from now on",
            asks=bodies.FeeBody,
            answers={200: answers.SurchargeShown},
            codes=("not_found", "fee_out_of_range"),
        ),
    ]


def _reports() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/acquirer-reports",
            name="acquirer_reports",
            view=acquirer_reports.take,
            roles=ACQUIRER,
            body=STREAM,
            keyed=True,
            summary="Take a file of what the acquirer took: match its rows or make payments",
            takes=acquirer_reports.FILE_TYPES,
            answers={200: answers.AcquirerReportShown},
            formats=(AUTO, *acquirer_reports.FORMATS),
            codes=("control_total_mismatch",),
        ),
        Route(
            method="GET",
            path="/v1/acquirer-reports/{id}",
            name="acquirer_report",
            view=acquirer_reports.show,
            roles=ACQUIRER | READERS,
            summary="What became of a file; an acquirer sees its own",
            answers={200: answers.AcquirerReportShown},
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/report-policies/{caller}",
            name="report_policy",
            view=acquirer_reports.show_policy,
            roles=READERS,
            summary="What is done with what only an acquirer's files or only our payments know",
            answers={200: Policy},
            codes=("not_found",),
        ),
        Route(
            method="PUT",
            path="/v1/report-policies/{caller}",
            name="report_policy_put",
            view=acquirer_reports.put_policy,
            roles=OPERATOR,
            body=JSON_BODY,
            summary="Set that for an acquirer's next files",
            asks=Policy,
            answers={200: Policy},
            codes=("not_found",),
        ),
    ]


def _settlement() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/settlement-batches",
            name="settlement_batches",
            view=settlement.close,
            roles=OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Close what is open up to now",
            asks=bodies.SettlementBatchBody,
            may_be_empty=True,
            answers={201: answers.SettlementBatchShown},
            codes=("state_conflict",),
        ),
        Route(
            method="POST",
            path="/v1/settlement-batches/{id}/approve",
            name="approvals",
            view=settlement.approve,
            roles=APPROVER,
            body=JSON_BODY,
            keyed=True,
            summary="Approve a closed batch; not for whoever closed it",
            asks=bodies.ApprovalBody,
            may_be_empty=True,
            answers={200: answers.SettlementBatchShown},
            codes=("not_found", "state_conflict", "ledger_mismatch", "pan_not_allowed"),
        ),
        Route(
            method="POST",
            path="/v1/settlement-batches/{id}/send",
            name="payout_claims",
            view=settlement.send,
            roles=OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Claim an approved batch for sending it to the bank; one claim succeeds",
            asks=bodies.ApprovalBody,
            may_be_empty=True,
            answers={200: answers.SettlementBatchShown},
            codes=("not_found", "state_conflict", "pan_not_allowed"),
        ),
        Route(
            method="POST",
            path="/v1/settlement-batches/{id}/cancel",
            name="cancellations",
            view=settlement.cancel,
            roles=APPROVER,
            body=JSON_BODY,
            keyed=True,
            summary="Cancel a batch that was not sent; what it owed is owed again",
            asks=bodies.CancellationBody,
            answers={200: answers.SettlementBatchShown},
            codes=("not_found", "state_conflict", "pan_not_allowed"),
        ),
    ]


def _payouts() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/settlement-batches/{id}/payout-file",
            name="payout_file",
            view=settlement.payout_file,
            roles=READERS,
            summary="The bank's file of an approved batch, the same bytes for ever;"
            " the first to fetch it claims the batch for sending",
            answers={200: None},
            headers=(
                (
                    settlement.CLAIM_HEADER,
                    "now where this request claimed the batch, before where it was claimed already",
                ),
            ),
            answer_types=tuple(settlement.PAYOUT_FILE_TYPES.values()),
            formats=tuple(settlement.PAYOUT_FILE_TYPES),
            codes=("not_found", "state_conflict"),
        ),
        Route(
            method="GET",
            path="/v1/settlement-batches/{id}/reports/{recipient}",
            name="report",
            view=settlement.report,
            roles=READERS | {"recipient"},
            summary="A row a share, refunds negative; the rows add up to the position",
            answers={200: None},
            answer_types=tuple(settlement.REPORT_TYPES.values()),
            formats=tuple(settlement.REPORT_TYPES),
            codes=("not_found", "state_conflict"),
        ),
        Route(
            method="POST",
            path="/v1/bank-statements",
            name="bank_statements",
            view=bank_statements.take,
            roles=OPERATOR,
            body=STREAM,
            keyed=True,
            summary="Take a bank's statement: which payouts were executed, which came back",
            answers={200: answers.BankStatementShown},
            formats=FORMATS,
            codes=("control_total_mismatch",),
            takes=bank_statements.FILE_TYPES,
        ),
        Route(
            method="GET",
            path="/v1/bank-statements/{id}",
            name="bank_statement",
            view=bank_statements.show,
            roles=READERS,
            summary="What a statement was answered when it was taken",
            answers={200: answers.BankStatementShown},
            codes=("not_found",),
        ),
    ]


def _billers() -> list[Route]:
    """Each protocol with its key in the path, and in a header, as a proxy in front may add it."""
    found = []
    protocols = (
        ("osmp", "OSMP (QIWI)", billers.take_osmp, billers.osmp_failed, OSMP_NAMES),
        ("sber", "Sberbank's, №1 and №2", billers.take_sber, billers.sber_failed, SBER_NAMES),
    )
    for protocol, title, view, failed, names in protocols:
        for key_in_path in (True, False):
            for method in ("GET", "POST"):
                form = method == "POST"
                found.append(
                    Route(
                        method=method,
                        path=f"/{protocol}/{{secret}}" if key_in_path else f"/{protocol}",
                        name=f"{protocol}{'' if key_in_path else '_by_header'}_{method.lower()}",
                        view=view,
                        roles=ACQUIRER,
                        body=STREAM if form else NO_BODY,
                        gated=True,
                        key_in_path=key_in_path,
                        in_own_words=failed,
                        summary=f"The biller protocol {title}: check, pay, take back",
                        answers={200: None},
                        answer_types=(xml.MEDIA_TYPE,),
                        query=() if form else names,
                        takes=billers.FORM_TYPES if form else (),
                        form=names if form else (),
                    )
                )
    return found


def _probes() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/healthz",
            name="healthz",
            view=probes.alive,
            roles=EVERYBODY,
            summary="This process answers",
            answers={200: answers.StateShown},
        ),
        Route(
            method="GET",
            path="/readyz",
            name="readyz",
            view=probes.ready,
            roles=EVERYBODY,
            summary="The database is reachable and its schema current",
            answers={200: answers.StateShown},
        ),
        Route(
            method="GET",
            path="/metrics",
            name="metrics",
            view=probes.metrics,
            roles=EVERYBODY,
            summary="Prometheus metrics of all workers",
            answers={200: None},
            answer_types=("text/plain; version=0.0.4; charset=utf-8",),
        ),
        Route(
            method="GET",
            path="/openapi.json",
            name="openapi",
            view=pages.openapi,
            roles=EVERYBODY,
            summary="This document",
            answers={200: None},
        ),
        Route(
            method="GET",
            path="/docs",
            name="docs",
            view=pages.docs,
            roles=EVERYBODY,
            summary="The reference for people",
            answers={200: None},
            answer_types=("text/html; charset=utf-8",),
        ),
        Route(
            method="GET",
            path="/docs/rapidoc-min.js",
            name="docs_script",
            view=pages.rapidoc,
            roles=EVERYBODY,
            summary="The script of the reference",
            answers={200: None},
            answer_types=("text/javascript; charset=utf-8",),
        ),
    ]
