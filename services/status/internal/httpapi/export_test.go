package httpapi

// Represent returns the public representation of a visible job.
var Represent = represent
