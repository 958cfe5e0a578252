package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/client"
)

const (
	// streamed is the number of jobs that the streams are spread over.
	streamed = 1000
	// opening limits the connections that are opened at the same time.
	opening = 64
	// settled is how long the streams are read before the memory is measured: a silent stream gets a comment after 15 s.
	settled = 20 * time.Second
)

// streaming measures the memory of open streams of events of jobs that wait.
func (m *measurement) streaming(ctx context.Context) error {
	var all, each []figure
	for _, c := range m.Candidates {
		if c.Edge == nil {
			continue
		}
		before, err := c.EdgeMemory()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		during, err := m.memoryWithStreams(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		all = append(all, figure{c.Name, float64(during) / (1 << 20)})
		each = append(each, figure{c.Name, float64(during-before) / float64(m.Streams) / (1 << 10)})
	}
	m.show(fmt.Sprintf("memory with %d streams", m.Streams), "MiB", all)
	m.show("memory per stream", "KiB", each)
	return nil
}

// memoryWithStreams opens the streams and returns the memory that the system then uses, in bytes.
func (m *measurement) memoryWithStreams(ctx context.Context, c Candidate) (int64, error) {
	ctx, closeAll := context.WithCancel(ctx)
	defer closeAll()
	jobs := make([]client.Job, streamed)
	_, err := rate(ctx, streamed, func(i int) (err error) {
		jobs[i], err = m.submit(ctx, c.Edge)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("submit: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(opening)
	for i := range m.Streams {
		group.Go(func() error { return stream(ctx, c.EdgeURL+"/v1/jobs/"+jobs[i%streamed].ID+"/events") })
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("open a stream: %w", err)
	}
	select {
	case <-time.After(settled):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return c.EdgeMemory()
}

// stream opens a stream and returns after its first event. It reads until ctx ends.
func stream(ctx context.Context, address string) error {
	target, err := url.Parse(address)
	if err != nil {
		return err
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", target.Host)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = connection.Close() })
	if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target.Path, target.Host); err != nil {
		return err
	}
	const small = 2 << 10 // a job has 1 KiB; 10,000 larger buffers would add up
	lines := bufio.NewScanner(bufio.NewReaderSize(connection, small))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data: ") {
			go func() {
				for lines.Scan() { // until ctx ends
				}
			}()
			return nil
		}
	}
	return fmt.Errorf("no event: %w", lines.Err())
}
