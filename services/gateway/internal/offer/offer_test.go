package offer

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/docmill/docmill/contract/format"
	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
)

func TestOnlyWhatEveryConverterReadsIsOffered(t *testing.T) {
	t.Parallel()
	var o Offer
	now := time.Now()
	offered := func() []string {
		var ids []string
		for _, f := range o.formats(now) {
			ids = append(ids, f.ID)
		}
		return ids
	}
	say := func(id string, formats ...string) {
		o.hear(&conversionv1.ConverterAnnounced{ConverterId: id, SourceFormats: formats, ValidFor: durationpb.New(time.Minute)}, now)
	}
	require.Len(t, offered(), len(slices.Collect(format.All())), "before anything is heard")
	say("a", "docx", "pptx", "of tomorrow")
	require.Equal(t, []string{"pptx", "docx"}, offered(), "in the table's order")
	say("b", "docx")
	require.Equal(t, []string{"docx"}, offered())
	now = now.Add(50 * time.Second)
	say("a", "docx", "pptx")
	now = now.Add(50 * time.Second)
	require.Equal(t, []string{"pptx", "docx"}, offered(), "b is gone")
	now = now.Add(time.Hour)
	require.Len(t, offered(), len(slices.Collect(format.All())), "all are gone, and come back")
}
