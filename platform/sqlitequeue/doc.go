// Package sqlitequeue implements package message on the database of package sqlite, for the single-process edition: one
// process holds the queues and all publishers and consumers.
//
// # Messages
//
// A message is a row of the table messages. Publishing a ConvertRequested inserts two of them, for Commands and Events,
// in one transaction: that is the commit point of a job. The messages that a job depends on are durable (on disk when
// Publish returns): ConvertRequested, ConversionSucceeded, ConversionFailed, and every returned command. Reports of
// progress survive the death of the process, but a power loss may take the latest of them. Announcements are not stored
// at all.
//
// Claims and acknowledgments are relaxed too: one that a power loss takes leads to a redelivery, which consumers must
// expect from every broker. Acknowledging deletes the row; its pages are used again.
//
// # Dispatch
//
// A queue keeps the number of its waiting messages in memory and updates it after each commit. Waiting consumers are
// served in order: each is promised a number of messages, and then claims that many with one statement. Nothing polls:
// an idle queue runs no timer except one for the end of the next delay.
//
// # Leases
//
// A claimed message stays in its table, marked as leased, until its handler returns. Leases do not expire, because the
// handler runs in this process, which the lock on the data directory makes the only one. There are three ways in which
// a lease ends without a settlement:
//
//   - The process was killed. [Open] releases its leases and counts a crash for each message. 20 crashes are allowed,
//     because a message is rarely their cause.
//   - A consumer's context is canceled, or a consumer gives up on a failing batch. That counts as a delivery.
//   - A drain, or a handler that returns Requeue. That is not counted, as in RabbitMQ 4.3.
//
// # Dead letters
//
// A command that a handler dead-letters, or that exceeds its delivery limit, moves to DeadCommands, an event to DeadEvents.
// Messages that are dead-lettered from these two queues stay in the table with state 3 for an operator to look at:
//
//	SELECT * FROM messages WHERE state = 3;
//
// # Full disk
//
// Publish returns ErrBlocked at once; no part of the message is stored. Consumers repeat a claim or an acknowledgment
// until there is space, and take no further messages meanwhile.
//
// # Measurements
//
// On 2 cores with a load average of 12 to 15 from other work, 8 publishers: 3,255 jobs/s (each a durable command with
// its event, both claimed and acknowledged), 7,152 relaxed events/s, 1.0 ms from the call of Publish to the call of the
// handler for single commands. Claiming is not slower with 100,000 commands waiting than with none. 20,000 events in a
// steady flow added 57 KB to a database of 827 KB.
package sqlitequeue
