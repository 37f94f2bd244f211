-- The journal itself, account by account. Debits are positive, so the sum over all accounts of a currency is nothing.
SELECT currency, account, sum(kobo)::bigint AS kobo
FROM journal_lines
JOIN journal ON journal.id = entry_id
GROUP BY currency, account
ORDER BY currency, account;
