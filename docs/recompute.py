#!/usr/bin/env python3
"""Computes shares again: `python recompute.py EXPLANATION... [--report FILE] [--recipient ID]`.

An explanation is what GET /v1/payments/{id}/explanation answered, one in a file or one a line; `-`
is stdin. A report is csv or json. Standard library only, and nothing of Kopeck: the rules here are
those of its page on splitting. Exits 0 where all agrees, 1 and names the rows where it does not.
"""

import csv
import json
import sys
from collections import Counter
from hashlib import sha256

PPM = 1_000_000


def by_largest_remainder(total, weights):
    """(amount, floor, remainder, rank, leftover) of each weight: floors, then a kopeck each."""
    together = sum(weights)
    floors = [total * weight // together for weight in weights]
    remainders = [total * weight % together for weight in weights]
    leftover = total - sum(floors)
    order = sorted(range(len(weights)), key=lambda at: (-remainders[at], at))
    rank = {at: place + 1 for place, at in enumerate(order)}
    return [
        (
            floors[at] + (1 if rank[at] <= leftover else 0),
            floors[at],
            remainders[at],
            rank[at],
            leftover,
        )
        for at in range(len(weights))
    ]


def working(step, tier, rule, total, weight, weights, amount, *shared):
    """A working as explanations have it; `shared` is floor, remainder, rank and leftover."""
    floor, remainder, rank, leftover = shared or (None,) * 4
    return {
        "step": step, "tier": tier, "rule": rule, "total": total, "weight": weight,
        "weights": weights, "floor": floor, "remainder": remainder, "rank": rank,
        "leftover": leftover, "amount": amount,
    }  # fmt: skip


def shared(step, tier, total, weights):
    """A working for each weight."""
    return [
        working(step, tier, "largest_remainder", total, weight, sum(weights), amount, *more)
        for weight, (amount, *more) in zip(
            weights, by_largest_remainder(total, weights), strict=True
        )
    ]


def fill(step, total, owed, members, tiers, workings):
    """Fills tiers in ascending order; what is left after the last."""
    left = total
    for tier in sorted({tiers[at] for at in members}):
        owing = [at for at in members if tiers[at] == tier and owed[at] > 0]
        together = sum(owed[at] for at in owing)
        if left == 0 or not owing:
            continue
        if together <= left:
            for at in owing:
                workings[at].append(
                    working(step, tier, "whole", left, owed[at], together, owed[at])
                )
            left -= together
        else:
            found = shared(step, tier, left, [owed[at] for at in owing])
            for at, one in zip(owing, found, strict=True):
                workings[at].append(one)
            left = 0
    return left


def split(charges, amount, designation, overpayment):
    """The workings of each charge. `designation` names services; a charge is as it is explained."""
    tiers = [charge["tier"] for charge in charges]
    owed = [max(0, charge["due"] - charge["paid"]) for charge in charges]
    workings = [[] for _ in charges]
    for service, kopecks in designation.items():
        members = [at for at, charge in enumerate(charges) if charge["service"] == service]
        above = fill("designation", kopecks, owed, members, tiers, workings)
        if above:
            workings[members[-1]].append(working("designation", None, "rest", above, 0, 0, above))
    named = [sum(one["amount"] for one in found) for found in workings]
    still = [max(0, due - before) for due, before in zip(owed, named, strict=True)]
    left = fill("tier", amount - sum(named), still, range(len(charges)), tiers, workings)
    if left and overpayment == "weights":
        found = shared("overpayment", None, left, [charge["weight"] for charge in charges])
        for at, one in enumerate(found):
            if one["weight"]:
                workings[at].append(one)
    elif left and isinstance(overpayment, dict):
        one = working("overpayment", None, "rest", left, 0, 0, left)
        workings[overpayment["charge"]].append(one)
    elif left:
        raise ValueError("more was paid than the bill takes")
    return workings


def fee(kopecks, rule):
    """Half-up of ppm, and the rule's fixed part, within its bounds."""
    if rule is None:
        return 0
    found = max((2 * kopecks * rule["ppm"] + PPM) // (2 * PPM) + rule["fixed"], rule["min"])
    return found if rule["max"] is None else min(found, rule["max"])


def wrong_working(told):
    """What is wrong with one working by itself."""
    total, weight, weights, amount = (told[n] for n in ("total", "weight", "weights", "amount"))
    if told["rule"] == "whole":
        return None if amount == weight <= weights <= total else "is not whole"
    if told["rule"] == "rest":
        return None if amount == total else "is not the rest"
    if told["rule"] != "largest_remainder" or not weights > 0 or not 0 <= weight <= weights:
        return "is by no rule that is known"
    floor, remainder = divmod(total * weight, weights)
    if (floor, remainder) != (told["floor"], told["remainder"]):
        return f"floor and remainder are {floor} and {remainder}"
    if told["rank"] < 1 or told["leftover"] < 0:
        return "rank or leftover cannot be"
    extra = 1 if told["rank"] <= told["leftover"] else 0
    return None if amount == floor + extra else f"amount is {floor + extra}"


def wrong_split(one, whole):
    """Complaints about one split; `whole` where all of its shares are told."""
    place = f"{one['id']} of {one['subscriber_account']}"
    if all(share["second_level"] is None for share in one["shares"]):
        return
    for share in one["shares"]:
        at = f"{place}: {share['service']} to {share['recipient']}"
        steps, level = share["workings"], share["second_level"]
        for told in (*steps, level):
            if complaint := wrong_working(told):
                yield f"{at}: {told['step']}: {complaint}"
        if sum(step["amount"] for step in steps) != level["total"]:
            yield f"{at}: its workings are not what the charge received"
        if level["amount"] != share["amount"] or level["weights"] != PPM:
            yield f"{at}: is not its second level's part"
    gross = Counter()
    # What is withheld is told to whom it was agreed with, and to who sees all.
    for share in one["shares"] if one["recipients"] else ():
        gross[share["recipient"]] += share["amount"]
    if {each["recipient"]: each["gross"] for each in one["recipients"]} != dict(gross):
        yield f"{place}: gross is not the sum of the shares"
    for each in one["recipients"]:
        withheld = min(fee(each["gross"], each["rule"]), each["gross"])
        if each["commission"] != withheld or each["net"] != each["gross"] - withheld:
            yield f"{place}: commission of {each['recipient']} is {withheld}"
    if whole:
        yield from wrong_whole(one, place)


def wrong_whole(one, place):
    """Complaints about a split of which the whole bill is told: everything is split again."""
    charges = one["charges"]
    for charge in charges:
        if charge["owed"] != max(0, charge["due"] - charge["paid"]):
            yield f"{place}: {charge['service']}: owed is not due less paid"
    found = split(charges, one["amount"], one["designation"], one["overpayment"])
    expected = []
    for at, (charge, workings) in enumerate(zip(charges, found, strict=True)):
        received = sum(step["amount"] for step in workings)
        if charge["charge"] != at or charge["received"] != received:
            yield f"{place}: {charge['service']}: received is {received}"
        parts = charge["second_level"]
        if sum(part["ppm"] for part in parts) != PPM:
            yield f"{place}: {charge['service']}: its second level is not a million"
            continue
        for part, level in zip(
            parts, shared("second_level", None, received, [p["ppm"] for p in parts]), strict=True
        ):
            if level["amount"]:
                expected.append(
                    {
                        "charge": at, "service": charge["service"],
                        "recipient": part["recipient"], "amount": level["amount"],
                        "workings": workings, "second_level": level,
                    }
                )  # fmt: skip
    for told, again in zip(one["shares"], expected, strict=False):
        if told != again:
            yield f"{place}: {told['service']} to {told['recipient']}: is {again['amount']}"
    if len(one["shares"]) != len(expected):
        yield f"{place}: {len(expected)} shares, not {len(one['shares'])}"
    if sum(share["amount"] for share in one["shares"]) != one["amount"]:
        yield f"{place}: shares do not add up to the amount"


def wrong_surcharge(told):
    """What is wrong with what the payer paid on top, where it follows from the split."""
    surcharge, total = told["surcharge"], told["total"]
    if told["amount"] + surcharge["amount"] != total:
        return "amount and surcharge are not the total"
    if surcharge["by"] == "acceptance" or surcharge["rule"] is None:
        return None
    one = told["splits"][0]

    def on_top(amount):
        if surcharge["by"] == "method":
            return fee(amount, surcharge["rule"])
        gross = Counter()
        for charge, steps in zip(
            one["charges"],
            split(one["charges"], amount, one["designation"], one["overpayment"]),
            strict=True,
        ):
            parts, received = charge["second_level"], sum(step["amount"] for step in steps)
            for part, (kopecks, *_) in zip(
                parts, by_largest_remainder(received, [part["ppm"] for part in parts]), strict=True
            ):
                gross[part["recipient"]] += kopecks
        own = {each["recipient"]: each["rule"] for each in surcharge["own"]}
        charged = sum(fee(gross[name], rule) for name, rule in own.items() if gross[name])
        rest = sum(kopecks for name, kopecks in gross.items() if name not in own)
        return charged + (fee(rest, surcharge["rule"]) if rest else 0)

    expected = on_top(told["amount"])
    if surcharge["amount"] == expected:
        return None
    # Of a total that was handed over, what no kopeck more can use up joins the surcharge.
    above = told["amount"] + 1
    if surcharge["amount"] > expected and above + on_top(above) > total:
        return None
    return f"surcharge is {expected}"


def wrong_taking(one, whole):
    """Complaints about what was taken of shares, or given back to them."""
    sign = 1 if one["kind"] == "reversal" else -1
    for share in one["shares"]:
        at = f"{one['entry']}: {share['service']} to {share['recipient']}"
        if complaint := wrong_working(share["working"]):
            yield f"{at}: {complaint}"
        if share["amount"] != sign * share["working"]["amount"]:
            yield f"{at}: is not its working's amount"
    for back in one["commissions"]:
        moved = [
            (2 * back["withheld"] * back[name] + back["gross"]) // (2 * back["gross"])
            for name in ("moved_before", "moved_after")
        ]
        if back["amount"] != moved[1] - moved[0]:
            yield f"{one['entry']}: commission back of {back['recipient']} is {moved[1] - moved[0]}"
    if not whole:
        return
    if sum(share["amount"] for share in one["shares"]) != one["amount"]:
        yield f"{one['entry']}: shares do not add up to the amount"
    # Services that were named are shared each by itself, one after another.
    group = []
    for share in one["shares"]:
        group.append(share["working"])
        together = sum(told["weight"] for told in group)
        if together == group[0]["weights"]:
            weights = [told["weight"] for told in group]
            if group != shared(group[0]["step"], None, group[0]["total"], weights):
                yield f"{one['entry']}: {share['service']}: is not what its rule gives"
            group = []
    if group:
        yield f"{one['entry']}: the weights of its shares are not what they add up to"


def wrong_explanation(told):
    """Every complaint about an explanation."""
    name, whole = told["payment"], told["recipient"] is None
    content = {key: value for key, value in told.items() if key != "digest"}
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    if sha256(canonical.encode()).hexdigest() != told["digest"]:
        yield f"{name}: its figures are not those that its digest was made of"
    if whole and (complaint := wrong_surcharge(told)):
        yield f"{name}: {complaint}"
    for one in told["splits"]:
        yield from (f"{name}: {complaint}" for complaint in wrong_split(one, whole))
    had = Counter()
    for one in told["splits"]:
        for share in one["shares"]:
            had[one["id"], share["charge"], share["service"], share["recipient"]] += share["amount"]
    left = Counter(had)
    for one in told["taken"]:
        yield from (f"{name}: {complaint}" for complaint in wrong_taking(one, whole))
        for share in one["shares"]:
            of = (share["of"], share["charge"], share["service"], share["recipient"])
            left[of] += share["amount"]
            if of not in had or not 0 <= left[of] <= had[of]:
                yield f"{name}: {one['entry']}: takes what {share['service']} had not"


BESIDE = ("obligation", "carried", "returned")
"""Rows of a report that are no shares: sums of a batch, and of batches before it."""


def report_of(path):
    """Rows of a report, its totals (None of csv) and its recipient (None of csv)."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        text = file.read()
    if text.startswith("{"):
        told = json.loads(text)
        return told["rows"], told["totals"], told["recipient"]
    rows = list(csv.DictReader(text.splitlines(keepends=True), delimiter=";"))
    for row in rows:
        for name in ("gross_kopecks", "commission_kopecks", "net_kopecks"):
            row[name] = int(row[name])
    return rows, None, None


def plain(service):
    """A service as csv has it: spreadsheets run what begins as a formula."""
    return service.removeprefix("'") if service[:2] in {"'" + c for c in "=+-@\t\r\n"} else service


def wrong_report(rows, totals):
    """Complaints about a report by itself."""
    for number, row in enumerate(rows, 1):
        if row["gross_kopecks"] - row["commission_kopecks"] != row["net_kopecks"]:
            yield f"row {number} ({row['payment']}): net is not gross less commission"
    if totals is not None:
        own = [row for row in rows if row["kind"] not in BESIDE]
        sums = {
            "rows": len(rows),
            "gross": sum(max(row["gross_kopecks"], 0) for row in own),
            "refunds": sum(max(-row["gross_kopecks"], 0) for row in own),
            "commission": sum(row["commission_kopecks"] for row in own),
            "net": sum(row["net_kopecks"] for row in own),
            "transferred": sum(r["net_kopecks"] for r in rows if r["kind"] == "obligation"),
        }
        # Reports of older batches name neither; a report names both or none.
        for name, kind in (("carried_in", "carried"), ("returned", "returned")):
            if any(row["kind"] in ("carried", "returned") for row in rows):
                sums[name] = sum(r["net_kopecks"] for r in rows if r["kind"] == kind)
        for name, value in sums.items():
            if totals[name] != value:
                yield f"totals: {name} is {value}"
        before = sum(totals[name] for name in ("carried_in", "returned", "net", "transferred"))
        if before != totals["payable"] + totals["carried_out"]:
            yield "totals: what is owed is not payable and carried out"


def rows_of(told, recipient):
    """(kind, service, gross, commission or None) of every row that an explanation makes."""
    for one in told["splits"]:
        mine = [share for share in one["shares"] if share["recipient"] == recipient]
        kind = {"resolution": "payment", "reversal": "chargeback_reversal"}.get(
            one["kind"], one["kind"]
        )
        withheld = [e["commission"] for e in one["recipients"] if e["recipient"] == recipient]
        if mine and withheld:
            kept = by_largest_remainder(withheld[0], [share["amount"] for share in mine])
            for share, (commission, *_) in zip(mine, kept, strict=True):
                yield kind, share["service"], share["amount"], commission
        else:
            yield from ((kind, share["service"], share["amount"], None) for share in mine)
    for one in told["taken"]:
        kind = {"reversal": "chargeback_reversal"}.get(one["kind"], one["kind"])
        for share in one["shares"]:
            if share["recipient"] == recipient and share["amount"]:
                yield kind, share["service"], share["amount"], None


def wrong_rows(rows, explanations, recipient):
    """Rows of a report that the explanations do not make."""
    made = {}
    for name, told in explanations.items():
        made[name] = list(rows_of(told, told["recipient"] or recipient))
    for number, row in enumerate(rows, 1):
        if row["kind"] in BESIDE:
            continue
        if row["payment"] not in made:
            yield f"row {number}: {row['payment']} has no explanation"
            continue
        exact = (
            row["kind"],
            plain(row["service"]),
            row["gross_kopecks"],
            row["commission_kopecks"],
        )
        found = [one for one in made[row["payment"]] if one in (exact, (*exact[:3], None))]
        if found:
            made[row["payment"]].remove(found[0])
        else:
            yield f"row {number}: {row['payment']} explains no such share of {exact[1]}"


def main(words):
    """Exits 0 only where everything agrees."""
    paths, reports, recipient = [], [], None
    words = iter(words)
    for word in words:
        if word == "--report":
            reports.append(next(words, ""))
        elif word == "--recipient":
            recipient = next(words, None)
        else:
            paths.append(word)
    if not paths and not reports:
        sys.exit(__doc__)
    explanations, complaints = {}, []
    for path in paths:
        if path == "-":
            text = sys.stdin.read()
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        decoder, at = json.JSONDecoder(), 0
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            told, at = decoder.raw_decode(text, at)
            explanations[told["payment"]] = told
    shares = 0
    for name, told in explanations.items():
        try:
            complaints += wrong_explanation(told)
        except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError) as error:
            complaints.append(f"{name}: cannot be computed again: {error!r}")
        shares += sum(len(one.get("shares", ())) for one in (*told["splits"], *told["taken"]))
    rows_read = 0
    for path in reports:
        rows, totals, whose = report_of(path)
        rows_read += len(rows)
        complaints += wrong_report(rows, totals)
        if explanations:
            complaints += wrong_rows(rows, explanations, recipient or whose)
    for complaint in complaints:
        print(complaint)
    print(f"{shares} shares, {rows_read} rows of reports, {len(complaints)} that do not agree")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
