-- Conflicts are counted again and again, and those of last year need no counting: only recent admissions are looked at.
CREATE INDEX admissions_received ON admissions (received_at);
