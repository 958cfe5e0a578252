package statusclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/docmill/docmill/contract/jobapi"
)

// Audience is notified of changes. Its methods must not block.
type Audience interface {
	// Wake reports jobs that may have changed.
	Wake(ids ...uuid.UUID)
	// WakeAll means that any number of changes may have been missed.
	WakeAll()
}

// silence is how long the stream of changes may be silent before its connection is given up.
const silence = 3 * jobapi.ChangesInterval

var errSilent = errors.New("the status service has gone silent")

// Follow notifies the audience of changed jobs until the status service ends the stream, the connection is lost or ctx
// ends, and returns the reason. It calls up when the stream has begun, and then WakeAll.
func (c *Client) Follow(ctx context.Context, up func(), audience Audience) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer silent.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(jobapi.ChangesPath).String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("follow the changes of jobs: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("follow the changes of jobs: %w", errors.Join(err, context.Cause(ctx)))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("follow the changes of jobs: the status service answered %s", response.Status)
	}
	up()
	audience.WakeAll()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		silent.Reset(silence)
		notify(audience, lines.Text())
	}
	if err := errors.Join(lines.Err(), context.Cause(ctx)); err != nil {
		return fmt.Errorf("follow the changes of jobs: %w", err)
	}
	return errEnded
}

var errEnded = errors.New("the status service has ended the stream of changes")

// notify notifies the audience of the changes in a line. It skips what is not an id: a newer status service may send more.
func notify(audience Audience, line string) {
	var ids []uuid.UUID
	for word := range strings.FieldsSeq(line) {
		if word == jobapi.AllChanged {
			audience.WakeAll()
		} else if id, err := uuid.Parse(word); err == nil {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		audience.Wake(ids...)
	}
}
