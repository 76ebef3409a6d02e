-- Messages that were sent and given up lately are counted at each look at the status.
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL;
