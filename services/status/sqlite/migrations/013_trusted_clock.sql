-- What is known of the time during a hold, in microseconds since 1970; NULL without one.
ALTER TABLE observed_clock ADD COLUMN jumped_at INTEGER;
ALTER TABLE observed_clock ADD COLUMN trusted_at INTEGER;
