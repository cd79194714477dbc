"""What is done with what only an acquirer's files know, or only we do; caller by caller."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """Banks' contracts mostly make the file final; others count what stands in both alone."""

    report_only: Annotated[
        Literal["take", "question"],
        Meta(description="Rows that no payment is known for become payments, or a discrepancy"),
    ] = "take"
    unknown_account: Annotated[
        Literal["suspense", "question"],
        Meta(description="Rows for an account without a bill are held, or a discrepancy"),
    ] = "suspense"
    online_only: Annotated[
        Literal["question", "ignore"],
        Meta(description="Payments of the file's days that it does not know are a discrepancy"),
    ] = "question"
