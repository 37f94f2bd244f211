-- Write what became of a step, and give the lease back. Guarded by the claimant: a lease that ran out was taken over.
-- $1 id, $2 claimant, $3 status, $4 Paystack's id, $5 Paystack's status, $6 failure, $7 seconds until the next step,
-- $8 how often this very step was tried, $9 seconds of the lease: news that came within it is looked at now
UPDATE refunds
SET status = $3,
    provider_refund_id = coalesce($4, provider_refund_id),
    provider_status = coalesce($5, provider_status),
    failure = coalesce($6, failure),
    tries = $8,
    next_at = CASE
        WHEN $3 IN ('processed', 'failed') THEN NULL
        WHEN next_at > claimed_until - make_interval(secs => $9) THEN next_at
        ELSE app_now() + make_interval(secs => $7)
    END,
    started_at = CASE WHEN $3 IN ('started', 'needs_attention', 'processed') THEN coalesce(started_at, app_now()) ELSE started_at END,
    finished_at = CASE WHEN $3 IN ('processed', 'failed') THEN app_now() END,
    claimed_by = NULL,
    claimed_until = NULL
WHERE id = $1 AND claimed_by = $2
RETURNING *;
