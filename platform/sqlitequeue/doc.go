// Package sqlitequeue implements package message on the database of package sqlite, for the embedded edition: one
// process that holds the queues and all publishers and consumers.
//
// # Messages
//
// A message is a row of the table messages. Publishing a ConvertRequested inserts two of them, for Commands and Events,
// in one transaction: that is the commit point of a job. What a job cannot do without is durable (on disk when Publish
// returns): ConvertRequested, ConversionSucceeded, ConversionFailed, and every delayed message. Reports of progress
// survive the death of the process, but a power loss may take the latest of them. Announcements are not stored at all.
//
// Claims and acknowledgments are relaxed too: one that a power loss takes leads to a redelivery, which consumers must
// expect from every broker. Acknowledging deletes the row; its pages are used again.
//
// # Dispatch
//
// A queue counts its waiting messages in memory, from the commits. A consumer that waits is promised a number of
// messages, in the order in which consumers asked, and then claims that many with one statement. Nothing polls: when
// nothing happens, no timer runs except one for the end of the next delay.
//
// # Leases
//
// A claimed message stays in its table, marked as leased, until its handler returns. Leases do not expire, because the
// handler runs in this process, which the lock on the data directory makes the only one. [Open] releases the leases
// that a killed process has left, and counts the death for each: 20 are allowed, because they are rarely a message's
// fault. So does a consumer whose context is canceled and one that gives up a failing batch. A drain, and a handler
// that returns Requeue, release without counting, as RabbitMQ 4.3 does.
//
// # Dead letters
//
// A command that a handler dead-letters, or that exceeds its delivery limit, moves to DeadCommands. A dead event, and
// what is dead-lettered from DeadCommands, stays in the table with state 3 for an operator to look at:
//
//	SELECT * FROM messages WHERE state = 3;
//
// # Full disk
//
// Publish returns ErrBlocked at once; nothing of the message is stored. Consumers repeat
// a claim or an acknowledgment until there is space, and take no further messages meanwhile.
//
// # Measurements
//
// On 2 cores with a load average of 12 to 15 from other work, 8 publishers: 3,255 jobs/s (each a durable command with
// its event, both claimed and acknowledged), 7,152 relaxed events/s, 1.0 ms from the call of Publish to the call of the
// handler for single commands. Claiming is not slower with 100,000 commands waiting than with none. 20,000 events in a
// steady flow added 57 KB to a database of 827 KB.
package sqlitequeue
