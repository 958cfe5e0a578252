-- 5 is the queue of the returned commands. Those that wait for another attempt were in 1, the queue of the commands.
UPDATE messages SET queue = 5 WHERE queue = 1 AND state = 2;
