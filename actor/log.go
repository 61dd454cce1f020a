package actor

import (
	"context"
	"log/slog"
)

// engineLog passes on what the engine has to say from Warn up. The engine
// itself logs a line at Info for every failure that a supervisor handles,
// which troupe reports in its own words.
type engineLog struct {
	system *System
	with   func(slog.Handler) slog.Handler
}

func quiet(s *System) *slog.Logger {
	return slog.New(&engineLog{system: s, with: func(h slog.Handler) slog.Handler { return h }})
}

func (e *engineLog) target() slog.Handler { return e.with(e.system.Log().Handler()) }

// Enabled implements slog.Handler.
func (e *engineLog) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && e.target().Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (e *engineLog) Handle(ctx context.Context, r slog.Record) error {
	return e.target().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (e *engineLog) WithAttrs(as []slog.Attr) slog.Handler {
	return &engineLog{system: e.system, with: func(h slog.Handler) slog.Handler { return e.with(h).WithAttrs(as) }}
}

// WithGroup implements slog.Handler.
func (e *engineLog) WithGroup(name string) slog.Handler {
	return &engineLog{system: e.system, with: func(h slog.Handler) slog.Handler { return e.with(h).WithGroup(name) }}
}
