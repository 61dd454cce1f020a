package actor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/extensions"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-go/troupe/internal/host"
)

// PID names an actor; it is protoactor's own type.
type PID = proto.PID

// System is where tasks, workers, limits and trees live. It is cheap until
// used: its ActorSystem is made when the first of them starts. All methods are
// safe for concurrent use.
type System struct {
	settings
	units    host.Registry
	metering metering

	mu     sync.Mutex
	engine atomic.Pointer[proto.ActorSystem] // set once, under mu
}

// A SystemOption configures a System.
type SystemOption func(*settings)

type settings struct {
	name    string
	logger  *slog.Logger
	meters  metric.MeterProvider
	tracers trace.TracerProvider
}

// Name sets the name by which snapshots and metrics know the system. Default:
// "troupe".
func Name(name string) SystemOption { return func(s *settings) { s.name = name } }

// Logger sets where the system logs. Default: slog.Default(), looked up at each
// record, so that a later slog.SetDefault takes effect.
func Logger(l *slog.Logger) SystemOption { return func(s *settings) { s.logger = l } }

// MeterProvider turns on OpenTelemetry metrics of everything that lives in the
// System: calls by outcome, queues, workers, quantiles of waiting and running,
// limits. They are read from a [Snapshot] when the provider collects, so that
// calls cost the same with and without. What has stopped is no longer reported:
// flush the provider first to have its last numbers. Systems that share a
// provider should have names of their own. Default: none.
func MeterProvider(p metric.MeterProvider) SystemOption { return func(s *settings) { s.meters = p } }

// TracerProvider turns on OpenTelemetry traces, a span for every attempt of a
// call. Default: none, and then free.
func TracerProvider(p trace.TracerProvider) SystemOption {
	return func(s *settings) { s.tracers = p }
}

// NewSystem returns a System with an ActorSystem of its own.
func NewSystem(opts ...SystemOption) *System {
	var s settings
	for _, opt := range opts {
		if opt != nil {
			opt(&s)
		}
	}
	if s.name == "" {
		s.name = "troupe"
	}
	sys := &System{settings: s}
	if s.meters != nil {
		sys.units.OnAdd = sys.startMetrics
	}
	return sys
}

// tie is how an ActorSystem knows its System.
type tie struct{ system *System }

var tieID = extensions.NextExtensionID()

// ExtensionID implements protoactor's Extension.
func (tie) ExtensionID() extensions.ExtensionID { return tieID }

var wrapping sync.Mutex // makes Wrap look and tie in one go

// Wrap returns the System that lives in as, an ActorSystem of the caller's or
// that of another System. The same ActorSystem gives the same System; options
// that differ from those of the first call are logged and ignored. Wrap panics
// if as is nil.
func Wrap(as *proto.ActorSystem, opts ...SystemOption) *System {
	if as == nil {
		panic("actor: Wrap of a nil ActorSystem")
	}
	wrapping.Lock()
	known, ok := as.Extensions.Get(tieID).(tie)
	if !ok {
		known.system = NewSystem(opts...)
		known.system.engine.Store(as)
		as.Extensions.Register(known)
	}
	wrapping.Unlock()
	s := known.system
	if ok && s.differs(opts) {
		s.Log().Warn("troupe: this ActorSystem is wrapped already; the options of the first Wrap stay in force", "system", s.name)
	}
	return s
}

func (s *System) differs(opts []SystemOption) bool {
	want := s.settings
	for _, opt := range opts {
		if opt != nil {
			opt(&want)
		}
	}
	return want.name != s.name || want.logger != s.logger || !same(want.meters, s.meters) || !same(want.tracers, s.tracers)
}

// same compares providers, whose types are anybody's.
func same(a, b any) bool {
	if v := reflect.ValueOf(a); v.IsValid() && !v.Comparable() {
		return false
	}
	return a == b
}

var defaultSystem = sync.OnceValue(func() *System { return NewSystem(Name("default")) })

// Default returns the process-wide System, made at the first call.
func Default() *System { return defaultSystem() }

// ActorSystem returns the protoactor system underneath.
func (s *System) ActorSystem() *proto.ActorSystem {
	if as := s.engine.Load(); as != nil {
		return as
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if as := s.engine.Load(); as != nil {
		return as
	}
	as := proto.NewActorSystem(
		proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return quiet(s) }),
		proto.WithDeadLetterRequestLogging(false),
		proto.WithDeadLetterThrottleInterval(deadLetterPause),
	)
	as.Extensions.Register(tie{system: s})
	s.engine.Store(as)
	return as
}

// deadLetterPause is for how long the engine holds a goroutine after a dead
// letter, to log less. It logs them at Info, which we drop anyway, and its
// second would outlive whoever has stopped everything.
const deadLetterPause = time.Nanosecond

// Log returns the system's logger.
func (s *System) Log() *slog.Logger {
	if s.logger != nil {
		return s.logger
	}
	return slog.Default()
}

// Stop ends everything that was started in this System, newest first. It
// returns when nothing of it runs any more, or when ctx ends, with
// context.Cause(ctx) and the names of what still runs. A wrapped ActorSystem
// stays up, and so does a System: new tasks may be started in it. It may be
// called often and from many goroutines.
func (s *System) Stop(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	defer s.stopMetrics()
	for units := s.units.Units(); len(units) > 0; units = s.units.Units() {
		if own := slices.DeleteFunc(slices.Clone(units), host.Adopted); len(own) > 0 {
			units = own // the others go with their trees, in the order of those
		}
		if err := stopAll(ctx, units); err != nil {
			return err
		}
		if ctx.Err() != nil && len(s.units.Units()) > 0 {
			return fmt.Errorf("actor: System.Stop: new ones keep starting: %w", context.Cause(ctx))
		}
	}
	return nil
}

func stopAll(ctx context.Context, units []host.Unit) error {
	var faults []error
	for _, u := range slices.Backward(units) {
		if err := u.Stop(ctx); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// Units gives the other packages of this module the registry of the System.
func (s *System) Units() *host.Registry { return &s.units }

// Telemetry gives the other packages of this module the providers; nil if none.
func (s *System) Telemetry() (metric.MeterProvider, trace.TracerProvider) {
	return s.meters, s.tracers
}
