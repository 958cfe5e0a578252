package contracttest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Outcome is a documented response of an operation. Operation is empty for paths and methods that do not exist; Code is
// that of a problem.
type Outcome struct {
	Operation string
	Status    int
	Code      string
}

// String returns the outcome for people.
func (o Outcome) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %d %s", o.Operation, o.Status, o.Code))
}

// Outcomes returns every documented outcome. Problems of HEAD are omitted: they are those of GET, without a body.
func (c *Contract) Outcomes() []Outcome {
	outcomes := []Outcome{
		{Status: http.StatusNotFound, Code: "route-not-found"}, {Status: http.StatusMethodNotAllowed, Code: "method-not-allowed"},
	}
	for _, item := range c.document.Paths.Map() {
		for method, operation := range item.Operations() {
			for name, response := range operation.Responses.Map() {
				status, err := strconv.Atoi(name)
				if err != nil || method == http.MethodHead && status >= http.StatusBadRequest {
					continue
				}
				outcome := Outcome{Operation: operation.OperationID, Status: status}
				problem := response.Value.Content["application/problem+json"]
				if problem == nil {
					outcomes = append(outcomes, outcome)
					continue
				}
				for code := range problem.Examples {
					outcome.Code = code
					outcomes = append(outcomes, outcome)
				}
			}
		}
	}
	slices.SortFunc(outcomes, func(a, b Outcome) int { return strings.Compare(a.String(), b.String()) })
	return outcomes
}
