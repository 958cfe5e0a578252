package sqlite

// Waiting returns how many writes wait.
func Waiting(db *DB) int { return len(db.writer.queue) }
