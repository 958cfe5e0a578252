package submit

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/detect"
	"github.com/docmill/docmill/contract/problem"
)

func TestRefusal(t *testing.T) {
	t.Parallel()
	for code, err := range map[problem.Code]error{
		problem.Busy:                 fmt.Errorf("wait: %w", detect.ErrBusy),
		problem.StoreUnavailable:     errors.New("connection refused"),
		problem.FileEmpty:            &detect.Refusal{Reason: detect.Empty},
		problem.FileUnrecognized:     &detect.Refusal{Reason: detect.Unrecognized},
		problem.FormatUnsupported:    &detect.Refusal{Reason: detect.Unsupported},
		problem.FileTypeContradicted: &detect.Refusal{Reason: detect.Contradiction},
		problem.DocumentMalformed:    &detect.Refusal{Reason: detect.Damaged},
		problem.DocumentTooComplex:   &detect.Refusal{Reason: detect.TooComplex},
	} {
		var p *problem.Error
		require.ErrorAs(t, refusal(err), &p)
		require.Equal(t, code, p.Code)
		require.ErrorIs(t, p, err, "the log gets the cause")
		require.Equal(t, code == problem.Busy || code == problem.StoreUnavailable, p.RetryAfter > 0, code)
	}
}
