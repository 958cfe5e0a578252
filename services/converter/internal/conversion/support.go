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

	"github.com/docmill/docmill/contract/fleet"
	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/message"
	"github.com/docmill/docmill/contract/option"
	"github.com/docmill/docmill/contract/problem"
)

// errUnsupported means that a command has something that this converter does not know, such as an option of a newer
// release, or a format that its LibreOffice lacks. Another converter may know it.
var errUnsupported = errors.New("this converter does not support")

// errConversion is the errUnsupported for the formats of a command. Converters announce the formats that they support.
var errConversion = fmt.Errorf("%w the conversion", errUnsupported)

// requireSupport returns an errUnsupported, which names the unsupported part, if this converter would ignore a part of the
// command or cannot make its result.
func (a *attempt) requireSupport() error {
	if found := unknown(a.command.ProtoReflect(), ""); found != "" {
		return fmt.Errorf("%w %s", errUnsupported, found)
	}
	if name := option.Unsupported(a.command.GetTarget().GetOptions().ProtoReflect()); name != "" {
		return fmt.Errorf("%w the value of the option %s", errUnsupported, name)
	}
	source, _, err := a.formats()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(a.Formats, func(f format.Format) bool { return f.ID == source.ID }) {
		return fmt.Errorf("%w of the format %s: its LibreOffice has no filter for it", errConversion, source.ID)
	}
	secrets, err := a.secrets()
	if err != nil {
		return nil //nolint:nilerr // the attempt reports it
	}
	if found := unknown(secrets.ProtoReflect(), "secrets."); found != "" {
		return fmt.Errorf("%w %s", errUnsupported, found)
	}
	if name := option.Unsupported(secrets.ProtoReflect()); name != "" {
		return fmt.Errorf("%w the value of the option %s", errUnsupported, name)
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
// attempt. It fails the job only if no other converter can be expected to convert the document in time.
func (a *attempt) pass(ctx context.Context, cause error) error {
	next := proto.CloneOf(a.command)
	next.Passes++
	delay, hopeless := a.passing(cause, int(next.GetPasses()))
	failure := problem.New(problem.FormatUnsupported, "No converter could convert the document as requested: %v.", cause)
	if hopeless {
		return a.fail(ctx, failure)
	}
	if deadline := a.deadline(); !deadline.IsZero() && time.Now().Add(delay).After(deadline) {
		return a.failInTime(ctx, failure)
	}
	a.log.Warn("leaving a command to another converter", a.facts(zap.Duration("delay", delay), zap.Error(cause))...)
	return a.events.returned(ctx, next, delay)
}

const (
	// quickPasses is how often a command is passed on without a delay while another converter supports it. If one of five
	// converters does, it has received the command after 8 passes with a probability of 83 %. More passes would keep the
	// others busy while that one is busy.
	quickPasses = 8
	// passesPerDelay is how often it is then passed on with each delay, from 10 s to 5 min. A command that waits for a busy
	// converter costs each pass two writes of the broker.
	passesPerDelay = 6
	// maxPasses is how often a command is passed on while no running converter supports it. That takes 6 minutes; a
	// converter that supports it may be starting.
	maxPasses = 3
)

// passing returns the delay of the given pass of a command. hopeless means that the command must not be passed on
// again. If it is unknown whether another converter supports it, it is passed on until its deadline.
func (a *attempt) passing(cause error, times int) (delay time.Duration, hopeless bool) {
	supported := a.Converters.HasNewer()
	if errors.Is(cause, errConversion) {
		supported = a.Converters.Converts(a.command.GetSource().GetFormat(), a.command.GetTarget().GetFormat())
	}
	switch {
	case a.Converters.Single:
		return 0, true
	case supported == fleet.Yes && times <= quickPasses:
		return 0, false
	case supported == fleet.Yes:
		return message.DelayAfter(1 + (times-quickPasses-1)/passesPerDelay), false
	default:
		return message.DelayAfter(times), supported == fleet.No && errors.Is(cause, errConversion) && times > maxPasses
	}
}
