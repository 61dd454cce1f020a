package actor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"
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
	name    string
	logger  *slog.Logger
	meters  metric.MeterProvider
	tracers trace.TracerProvider
	units   host.Registry

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

// Name sets the name by which logs and snapshots know the system. Default:
// "troupe".
func Name(name string) SystemOption { return func(s *settings) { s.name = name } }

// Logger sets where the system logs. Default: slog.Default(), looked up at each
// record, so that a later slog.SetDefault takes effect.
func Logger(l *slog.Logger) SystemOption { return func(s *settings) { s.logger = l } }

// MeterProvider turns on OpenTelemetry metrics. Default: none, and then free.
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
	return &System{name: s.name, logger: s.logger, meters: s.meters, tracers: s.tracers}
}

var wrapped struct {
	sync.Mutex
	systems map[*proto.ActorSystem]*System
}

// Wrap returns the System that lives in as, an ActorSystem of the caller's. The
// same ActorSystem gives the same System; options that differ from those of
// the first call are logged and ignored. The pair is forgotten by
// [System.Stop], after which Wrap makes a new one. Wrap panics if as is nil.
func Wrap(as *proto.ActorSystem, opts ...SystemOption) *System {
	if as == nil {
		panic("actor: Wrap of a nil ActorSystem")
	}
	wrapped.Lock()
	s, known := wrapped.systems[as]
	if !known {
		s = NewSystem(opts...)
		s.engine.Store(as)
		if wrapped.systems == nil {
			wrapped.systems = make(map[*proto.ActorSystem]*System)
		}
		wrapped.systems[as] = s
	}
	wrapped.Unlock()
	if known && s.differs(opts) {
		s.Log().Warn("actor: this ActorSystem is wrapped already; the options of the first Wrap stay in force")
	}
	return s
}

func (s *System) differs(opts []SystemOption) bool {
	was := settings{name: s.name, logger: s.logger, meters: s.meters, tracers: s.tracers}
	want := was
	for _, opt := range opts {
		if opt != nil {
			opt(&want)
		}
	}
	return want != was
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
	)
	s.engine.Store(as)
	return as
}

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
// stays up, and so does a System: new tasks may be started in it.
func (s *System) Stop(ctx context.Context) error {
	if ctx == nil {
		return errors.New("actor: System.Stop: nil context")
	}
	var faults []error
	for units := s.units.Units(); len(units) > 0; units = s.units.Units() {
		faults = faults[:0]
		for i := len(units) - 1; i >= 0; i-- {
			if err := units[i].Stop(ctx); err != nil {
				faults = append(faults, err)
			}
		}
		if len(faults) > 0 || ctx.Err() != nil {
			break
		}
	}
	wrapped.Lock()
	if as := s.engine.Load(); wrapped.systems[as] == s {
		delete(wrapped.systems, as)
	}
	wrapped.Unlock()
	return errors.Join(faults...)
}

// Units gives the other packages of this module the registry of the System.
func (s *System) Units() *host.Registry { return &s.units }

// Telemetry gives the other packages of this module the providers; nil if none.
func (s *System) Telemetry() (metric.MeterProvider, trace.TracerProvider) {
	return s.meters, s.tracers
}
