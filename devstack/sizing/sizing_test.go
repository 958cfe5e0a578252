package sizing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/sizing"
)

func TestUnitsKeepHeadroom(t *testing.T) {
	t.Parallel()
	r := sizing.Resource{PerDocument: 3, Capacity: 3000}
	require.InDelta(t, 700, r.Limit(), 0.001)
	require.Equal(t, 1, r.Units(10))
	require.Equal(t, 1, r.Units(700))
	require.Equal(t, 2, r.Units(701))
	require.Equal(t, 15, r.Units(10000))
}

func TestFirstLimit(t *testing.T) {
	t.Parallel()
	_, found := sizing.FirstLimit([]sizing.Resource{{Name: "cores", PerDocument: 1, Capacity: 1}})
	require.False(t, found, "more can be added")
	first, found := sizing.FirstLimit([]sizing.Resource{
		{Name: "cores", PerDocument: 1, Capacity: 1},
		{Name: "database", PerDocument: 3, Capacity: 6000, Fixed: true},
		{Name: "queue", PerDocument: 3, Capacity: 3000, Fixed: true},
	})
	require.True(t, found)
	require.Equal(t, "queue", first.Name)
}

func TestRead(t *testing.T) {
	t.Parallel()
	resources, err := sizing.Read(strings.NewReader(`[{"name": "queue", "per_document": 3, "capacity": 3000, "fixed": true}]`))
	require.NoError(t, err)
	require.Equal(t, []sizing.Resource{{Name: "queue", PerDocument: 3, Capacity: 3000, Fixed: true}}, resources)
	for content, complaint := range map[string]string{
		`[{"name": "queue", "per_document": 3}]`: `capacity of "queue"`,
		`[{"title": "queue"}]`:                   "title",
		`[]`:                                     "there are none",
		``:                                       "EOF",
	} {
		_, err := sizing.Read(strings.NewReader(content))
		require.ErrorContains(t, err, complaint)
	}
}
