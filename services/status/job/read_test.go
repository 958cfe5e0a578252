package job_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	conversionv1 "github.com/docmill/docmill/proto/docmill/conversion/v1"
	"github.com/docmill/docmill/services/status/job"
)

func request() *conversionv1.ConvertRequested {
	return &conversionv1.ConvertRequested{
		JobId: uuid.UUID(id).String(), SubmissionId: one.String(), RequestedAt: timestamppb.New(noon),
		Source: &conversionv1.Source{
			ObjectKey: "key", Filename: "deck.pptx", Format: "pptx", ContentType: "application/x", Size: 3,
			Sha256: bytes.Repeat([]byte{7}, 32),
		},
		Target: &conversionv1.Target{Format: "pdf"}, Tag: "mine", ClaimKey: "claims/1",
	}
}

func with(options *conversionv1.Options) *conversionv1.ConvertRequested {
	m := request()
	m.Target.Options = options
	return m
}

func encoded(m *conversionv1.ConvertRequested) []byte {
	target, err := proto.Marshal(m.GetTarget())
	if err != nil {
		panic(err)
	}
	return target
}

func TestRead(t *testing.T) {
	t.Parallel()
	jobID := uuid.UUID(id).String()
	chosen := &conversionv1.Options{
		Pages: new("1-3\x00"), PdfUa: new(false), ImageQuality: new(int32(80)), PdfA: conversionv1.PdfA_PDF_A_2B, Notes: 99,
	}
	tests := map[string]struct {
		message proto.Message
		want    job.Event
	}{
		"submitted": {request(), job.Submitted{ID: id, SubmissionID: one, Submission: job.Submission{
			RequestedAt: noon, ObjectKey: "key", Filename: "deck.pptx", Format: "pptx", ContentType: "application/x", Size: 3,
			SHA256: bytes.Repeat([]byte{7}, 32), TargetFormat: "pdf", Tag: "mine", ClaimKey: "claims/1", Target: encoded(request()),
		}}},
		"submitted with options, one of which only a newer version knows": {
			with(chosen),
			job.Submitted{ID: id, SubmissionID: one, Submission: job.Submission{
				RequestedAt: noon, ObjectKey: "key", Filename: "deck.pptx", Format: "pptx", ContentType: "application/x", Size: 3,
				SHA256: bytes.Repeat([]byte{7}, 32), TargetFormat: "pdf", Tag: "mine", ClaimKey: "claims/1", Target: encoded(with(chosen)),
				Options: map[string]any{"pages": "1-3", "pdf_ua": false, "image_quality": int32(80), "pdf_a": "2b"},
			}},
		},
		"submitted with a callback": {
			func() proto.Message {
				m := request()
				m.Callback = &conversionv1.Callback{Url: "https://example.com/", Events: []string{"job.failed"}}
				return m
			}(),
			job.Submitted{ID: id, SubmissionID: one, Submission: job.Submission{
				RequestedAt: noon, ObjectKey: "key", Filename: "deck.pptx", Format: "pptx", ContentType: "application/x", Size: 3,
				SHA256: bytes.Repeat([]byte{7}, 32), TargetFormat: "pdf", Tag: "mine", ClaimKey: "claims/1",
				Target: []byte("\n\x03pdf"), Callback: &job.Callback{URL: "https://example.com/", Events: []string{"job.failed"}},
			}},
		},
		"withdrawn": {
			&conversionv1.SubmissionWithdrawn{JobId: jobID, SubmissionId: one.String(), WithdrawnAt: timestamppb.New(at(1))},
			job.Withdrawn{ID: id, SubmissionID: one},
		},
		"started, by a converter without submission ids": {
			&conversionv1.ConversionStarted{JobId: jobID, Attempt: 2, StartedAt: timestamppb.New(at(1))},
			job.AttemptUpdated{ID: id, Attempt: 2, At: at(1), Starts: true, Status: job.Running},
		},
		"started": {
			&conversionv1.ConversionStarted{
				JobId: jobID, SubmissionId: one.String(), Attempt: 2, StartedAt: timestamppb.New(at(1)),
			},
			job.AttemptUpdated{ID: id, SubmissionID: one, Attempt: 2, At: at(1), Starts: true, Status: job.Running},
		},
		"progressed, out of range": {
			&conversionv1.ConversionProgressed{
				JobId: jobID, SubmissionId: one.String(), Attempt: 1, Phase: 99, Percent: 130, ProgressedAt: timestamppb.New(at(1)),
			},
			job.AttemptUpdated{ID: id, SubmissionID: one, Attempt: 1, At: at(1), Status: job.Running, Percent: 100},
		},
		"retried, for no reason": {
			&conversionv1.ConversionRetried{JobId: jobID, SubmissionId: one.String(), Attempt: 1, RetriedAt: timestamppb.New(at(1))},
			job.AttemptUpdated{ID: id, SubmissionID: one, Attempt: 1, At: at(1), Status: job.Queued},
		},
		"retried": {
			&conversionv1.ConversionRetried{
				JobId: jobID, SubmissionId: one.String(), Attempt: 1, RetriedAt: timestamppb.New(at(1)), Delay: durationpb.New(time.Minute + 1),
				Failure: &conversionv1.Failure{Code: "store-unavailable", Detail: "a\x00b", Retryable: true},
			},
			job.AttemptUpdated{
				ID: id, SubmissionID: one, Attempt: 1, At: at(1), Status: job.Queued,
				Retry: &job.Retry{Failure: job.Failure{Code: "store-unavailable", Detail: "ab", Retryable: true}, NextAttemptAt: at(61)},
			},
		},
		"succeeded": {
			&conversionv1.ConversionSucceeded{
				JobId: jobID, SubmissionId: one.String(), Attempt: 1, FinishedAt: timestamppb.New(at(3)),
				Result: &conversionv1.Result{
					ObjectKey: "result", ContentType: "application/pdf", Size: 9, Sha256: bytes.Repeat([]byte{8}, 32), Pages: 8,
				},
				Warnings: []*conversionv1.Warning{{Code: "font-substituted", Detail: "A → B"}},
			},
			job.Ended{
				ID: id, SubmissionID: one, Status: job.Succeeded, Attempt: 1, FinishedAt: at(3),
				Result: &job.Result{
					ObjectKey: "result", ContentType: "application/pdf", Size: 9, SHA256: bytes.Repeat([]byte{8}, 32), Pages: 8,
				},
				Warnings: []job.Warning{{Code: "font-substituted", Detail: "A → B"}},
			},
		},
		"canceled": {
			&conversionv1.ConversionCanceled{
				JobId: jobID, SubmissionId: one.String(), Generation: 2, Attempt: 3, StartedAt: timestamppb.New(at(2)), FinishedAt: timestamppb.New(at(3)),
			},
			job.Ended{ID: id, SubmissionID: one, Generation: 2, Status: job.Canceled, Attempt: 3, StartedAt: at(2), FinishedAt: at(3)},
		},
		"failed, with a byte that PostgreSQL cannot store": {
			&conversionv1.ConversionFailed{
				JobId: jobID, SubmissionId: one.String(), Attempt: 1, StartedAt: timestamppb.New(at(2)), FinishedAt: timestamppb.New(at(3)),
				Failure: &conversionv1.Failure{Code: "engine-crashed", Detail: "a\x00b", Retryable: true},
				Report: &conversionv1.Report{
					Engine: "LibreOffice 7.4.7.2", Fetch: durationpb.New(12345 * time.Microsecond), Queued: durationpb.New(0),
					Fonts:        []*conversionv1.Font{{Name: "A\x00", ReplacedBy: "B", SameMetrics: true}, {Name: "C", Found: true}},
					BlockedLinks: []string{"http://example.com/\x00x"}, BlockedLinksTotal: 30,
					MacrosBlocked: true, HiddenSlidesLeftOut: 2,
					MissingCharacters: "가\x00나", MissingCharactersTotal: 3,
				},
			},
			job.Ended{
				ID: id, SubmissionID: one, Status: job.Failed, Attempt: 1, StartedAt: at(2), FinishedAt: at(3),
				Failure: &job.Failure{Code: "engine-crashed", Detail: "ab", Retryable: true},
				Report: &job.Report{
					Engine: "LibreOffice 7.4.7.2", Seconds: job.Seconds{Fetch: new(0.012), Queued: new(0.0)},
					Fonts:        []job.Font{{Name: "A", ReplacedBy: "B", SameMetrics: true}, {Name: "C", Found: true}},
					BlockedLinks: []string{"http://example.com/x"}, BlockedLinksTotal: 30, MacrosBlocked: true, HiddenSlidesLeftOut: 2,
					MissingCharacters: "가나", MissingCharactersTotal: 3,
				},
			},
		},
	}
	tested := map[protoreflect.FullName]bool{}
	for name, test := range tests {
		tested[proto.MessageName(test.message)] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event, err := job.Read(test.message)
			require.NoError(t, err)
			require.Equal(t, test.want, event)
		})
	}
	for _, name := range eventMessages() {
		require.True(t, tested[name], "this test needs a case for %s", name)
	}
}

func TestReadTruncatesTimesToMicroseconds(t *testing.T) {
	t.Parallel()
	message := request()
	message.RequestedAt = timestamppb.New(noon.Add(1234 * time.Nanosecond))
	event, err := job.Read(message)
	require.NoError(t, err)
	require.Equal(t, noon.Add(time.Microsecond), event.(job.Submitted).Submission.RequestedAt)
}

func TestReadReportsAllErrors(t *testing.T) {
	t.Parallel()
	message := request()
	message.JobId, message.RequestedAt, message.Source.Size = "{01981c7e-0000-7000-8000-000000000001}", nil, 0
	message.SubmissionId = "x"
	_, err := job.Read(message)
	require.ErrorIs(t, err, job.ErrInvalid)
	for _, part := range []string{"job_id", "submission_id", "requested_at", "source.size", "ConvertRequested"} {
		require.ErrorContains(t, err, part)
	}
}

func TestReadRejectsOtherMessages(t *testing.T) {
	t.Parallel()
	for _, message := range []proto.Message{
		&emptypb.Empty{}, &conversionv1.Source{}, &conversionv1.ConverterAnnounced{},
	} {
		_, err := job.Read(message)
		require.ErrorIs(t, err, job.ErrInvalid, "%T", message)
	}
}
