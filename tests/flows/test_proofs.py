"""A proof of one row is checked by the script that recipients are given, and fails for another."""

import asyncio
import sys
from pathlib import Path

import orjson
import pytest

from gateway.domain import merkle
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows import prove_row
from gateway.flows.seal_batches import counted_root
from tests.flows.region import Region, batch_id, bill
from tests.rules.sources import ROOT

SCRIPT = Path(ROOT) / "docs" / "verify_proof.py"


async def verified(root: str, proof: dict[str, object]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(SCRIPT), root), stdin=-1, stdout=-1, stderr=-1
    )
    told, wrong = await process.communicate(orjson.dumps(proof))
    return process.returncode or 0, (told + wrong).decode()


async def test_a_payment_is_proved_by_the_root_alone(region: Region) -> None:
    await region.load(bill("A"))
    payments = [await region.pay(f"p{n}", "A", 10_000 + n) for n in range(5)]
    batch = batch_id((await region.close("c"))["id"])
    root = (await counted_root(region.worker.context, batch)).hex()
    proof: dict[str, object] = {}
    for payment in payments:
        proof = await prove_row.prove(region.worker.context, f"pay_{payment.id.hex}")
        code, told = await verified(f"root_{root}", proof)
        assert code == 0, told
        assert f"amount = {payment.amount}\n" in told
        assert "subscriber_account = A\n" in told
    leaf = str(proof["leaf"])
    for bent in (
        {**proof, "leaf": leaf[:-2] + f"{int(leaf[-2:], 16) ^ 1:02x}"},
        {**proof, "place": 0},
        {**proof, "path": []},
    ):
        assert (await verified(root, bent))[0] != 0
    assert (await verified("00" * 32, proof))[0] != 0


async def test_what_is_not_sealed_or_not_as_it_was_is_not_proved(region: Region) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 10_000)
    row = f"pay_{payment.id.hex}"
    with pytest.raises(Refusal, match="sealed"):
        await prove_row.prove(region.worker.context, row)
    batch = batch_id((await region.close("c"))["id"])
    await counted_root(region.worker.context, batch)
    await region.conn.execute("SET session_replication_role = replica")
    await region.conn.execute("UPDATE payments SET reference = 'another'")
    with pytest.raises(InvariantBroken, match="as it was sealed"):
        await prove_row.prove(region.worker.context, row)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 1023, 1024, 1025, 3000])
async def test_a_tree_of_pages_is_the_tree_of_rfc_6962(count: int) -> None:
    def by_the_book(hashes: list[bytes]) -> bytes:
        if len(hashes) == 1:
            return hashes[0]
        half = 1 << (len(hashes) - 1).bit_length() - 1
        return merkle.root([by_the_book(hashes[:half]), by_the_book(hashes[half:])])

    hashes = [n.to_bytes(32, "big") for n in range(count)]
    pages = [hashes[at : at + merkle.PAGE_LEAVES] for at in range(0, count, merkle.PAGE_LEAVES)]
    assert merkle.root([merkle.root(page) for page in pages]) == by_the_book(hashes)
