package jobapi

import "time"

// ChangesPath is the route, on the internal port of the status service, of the stream of changes. Each line of it has the
// ids of jobs that have changed, separated by spaces, or [AllChanged]. An empty line only shows that the connection
// works. A reader that was not connected may have missed any number of changes.
const ChangesPath = "/internal/changes"

// ChangesInterval is the longest time between two lines of the stream of changes.
const ChangesInterval = 5 * time.Second

// AllChanged stands for the ids of all jobs.
const AllChanged = "*"
