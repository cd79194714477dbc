"""SQL of the audit: no line of a bank's statement is gone, whatever it was; see store.CHECKS."""

from typing import Final

# What each line led to: an event of a payout, money of an acquirer's, or a discrepancy.
_LED_TO = """
    SELECT e.statement, e.line, p.amount,
           CASE e.event WHEN 'execute' THEN 'executed' ELSE 'returned' END AS kind
    FROM payout_events AS e JOIN payouts AS p ON p.id = e.payout WHERE e.statement IS NOT NULL
    UNION ALL
    SELECT statement, line, amount, 'incoming' FROM incoming_money
    UNION ALL
    SELECT statement, line, amount, kind FROM statement_discrepancies
"""
_SHOWN = "'bst_' || replace(s.id::text, '-', '')"

STATEMENT_CHECKS: Final[dict[str, str]] = {
    "statement_line_missing": f"""
        SELECT {_SHOWN}, 'has not as many lines, or not of the sums, as its header tells'
        FROM bank_statements AS s
        JOIN (SELECT statement, count(*) AS lines,
                     coalesce(sum(amount) FILTER (WHERE is_debit), 0) AS debits,
                     coalesce(sum(amount) FILTER (WHERE NOT is_debit), 0) AS credits
              FROM statement_lines GROUP BY statement) AS l ON l.statement = s.id
        WHERE (l.lines, l.debits, l.credits) IS DISTINCT FROM
              (s.line_count::bigint, s.debits, s.credits)
    """,
    "statement_line_without_trace": f"""
        SELECT {_SHOWN} || ' line ' || l.line,
               'is ' || l.kind || ', and led to nothing of that kind and sum'
        FROM statement_lines AS l
        JOIN bank_statements AS s ON s.id = l.statement
        LEFT JOIN ({_LED_TO}) AS t ON t.statement = l.statement AND t.line = l.line
        WHERE (l.kind = 'known') <> (t.statement IS NULL)
           OR t.kind <> l.kind OR t.amount <> l.amount
    """,
    # Of statements that were taken before their lines were kept, and of any whose lines all went.
    "statement_lines_gone": f"""
        SELECT {_SHOWN}, 'has not as many lines as led to something, or were known before'
        FROM bank_statements AS s
        LEFT JOIN (SELECT statement, count(*) AS lines FROM ({_LED_TO}) AS t GROUP BY statement)
            AS t ON t.statement = s.id
        WHERE coalesce(t.lines, 0) + (convert_from(s.answer, 'UTF8')::json ->> 'known')::bigint
              <> s.line_count
    """,
}
