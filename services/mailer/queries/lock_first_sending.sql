-- Two operators who send one mail again take turns: whoever comes second sees the first one's sending.
-- $1 id of any sending
SELECT id
FROM mails
WHERE id = (SELECT coalesce(first_id, id) FROM mails WHERE id = $1)
FOR UPDATE;
