package conversion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/problem"
)

// errUnsupported means that a command has something that this converter does not know, such as an option of a newer
// release, or a format that its LibreOffice lacks. Another converter may know it.
var errUnsupported = errors.New("this converter does not support")

// requireSupport returns an errUnsupported, which names the unsupported part, if this converter would ignore a part of the
// command or cannot make its result.
func (a *attempt) requireSupport() error {
	if found := unknown(a.command.ProtoReflect(), ""); found != "" {
		return fmt.Errorf("%w %s", errUnsupported, found)
	}
	source, _, err := a.formats()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(a.Formats, func(f format.Format) bool { return f.ID == source.ID }) {
		return fmt.Errorf("%w the format %s: its LibreOffice has no filter for it", errUnsupported, source.ID)
	}
	secrets, err := a.secrets()
	if err != nil {
		return nil //nolint:nilerr // the attempt reports it
	}
	if found := unknown(secrets.ProtoReflect(), "secrets."); found != "" {
		return fmt.Errorf("%w %s", errUnsupported, found)
	}
	return nil
}

// unknown returns a description of a field or an enum value in a message, or in its parts, that this release does not
// know; empty if there is none. It shows no values but the numbers of enums: the message may be secret.
func unknown(m protoreflect.Message, path string) string {
	if raw := m.GetUnknown(); len(raw) > 0 {
		number, _, _ := protowire.ConsumeTag(raw)
		return fmt.Sprintf("the field %s%d", path, number)
	}
	found := ""
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := path + string(field.Name())
		each(field, value, func(value protoreflect.Value) {
			switch {
			case found != "":
			case field.Message() != nil:
				found = unknown(value.Message(), name+".")
			case field.Enum() != nil && field.Enum().Values().ByNumber(value.Enum()) == nil:
				found = fmt.Sprintf("the value %d of the field %s", value.Enum(), name)
			}
		})
		return found == ""
	})
	return found
}

// each calls f with the value of a field, or with each of its values.
func each(field protoreflect.FieldDescriptor, value protoreflect.Value, f func(protoreflect.Value)) {
	if !field.IsList() {
		f(value)
		return
	}
	for i := range value.List().Len() {
		f(value.List().Get(i))
	}
}

// pass publishes a command that this converter does not support again, for another converter, and does not count the
// attempt. It fails the job only when there is no time left for another converter.
func (a *attempt) pass(ctx context.Context, cause error) error {
	next := proto.CloneOf(a.command)
	next.Passes++
	delay := message.DelayAfter(int(next.GetPasses()))
	if deadline := a.deadline(); !deadline.IsZero() && time.Now().Add(delay).After(deadline) {
		return a.failInTime(ctx, problem.New(problem.FormatUnsupported, "No converter could convert the document as requested: %v.", cause))
	}
	a.log.Warn("leaving a command to another converter", a.facts(zap.Duration("delay", delay), zap.Error(cause))...)
	return a.events.returned(ctx, next, delay)
}
