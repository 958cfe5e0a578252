// Package document knows what a document is, and tells it by the content, not by the name.
//
// It holds the one table of formats (what is taken in, what can be made of it, and how LibreOffice calls it), recognises
// a document by reading only the few parts that say what it is, and refuses what cannot or must not be converted with a
// [*Refusal] whose [Reason] a caller decides by.
//
// Everything here reads hostile input: each function bounds how often and how much it reads, how much it inflates and
// how far it follows a chain, and none of them keeps anything between calls, so all are safe for concurrent use.
package document
