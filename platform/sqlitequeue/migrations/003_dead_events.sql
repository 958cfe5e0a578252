-- 6 is the queue of the dead events. They were in 2, the queue of the events, with state 3.
UPDATE messages SET queue = 6, state = 0 WHERE queue = 2 AND state = 3;
