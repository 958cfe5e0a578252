package invocation

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// CheckJobIDs returns an error that names every argument that is not the id of a job, such as the empty value of an unset variable. With
// such an id, the path of a request could be that of a different request.
func CheckJobIDs(ids ...string) error {
	var faults []error
	for _, id := range ids {
		if _, err := uuid.Parse(id); err != nil {
			faults = append(faults, fmt.Errorf("%q is not the id of a job", id))
		}
	}
	return errors.Join(faults...)
}
