package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"sync"
)

// Conversions counts the conversions of each job in the logs of all converters, also of those that end. It is safe for
// concurrent use.
type Conversions struct {
	mu     sync.Mutex
	counts map[string]int
}

// Follow follows the logs of all converters until ctx ends.
func (c *Conversions) Follow(ctx context.Context) {
	c.counts = map[string]int{}
	seen := map[string]bool{}
	var readers sync.WaitGroup
	defer readers.Wait()
	for {
		pods, _ := Pods(ctx, Converter) // after an error, the next round has them
		for _, pod := range pods {
			if !seen[pod] {
				seen[pod] = true
				readers.Go(func() { c.read(ctx, pod) })
			}
		}
		if pause(ctx) != nil {
			return
		}
	}
}

// read counts the conversions in the log of a pod until the pod ends.
func (c *Conversions) read(ctx context.Context, pod string) {
	command := exec.CommandContext(ctx, "kubectl", "--namespace", Namespace, "logs", "--follow", pod)
	stdout, err := command.StdoutPipe()
	if err != nil || command.Start() != nil {
		return
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var line struct {
			Msg   string `json:"msg"`
			JobID string `json:"job_id"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "converted" {
			c.mu.Lock()
			c.counts[line.JobID]++
			c.mu.Unlock()
		}
	}
	_ = command.Wait() // it is killed when ctx ends
}

// Repeated returns the jobs that were converted more than once, and how many were converted.
func (c *Conversions) Repeated() (repeated []string, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, n := range c.counts {
		if n > 1 {
			repeated = append(repeated, fmt.Sprintf("%s %d times", id, n))
		}
	}
	return repeated, len(c.counts)
}
