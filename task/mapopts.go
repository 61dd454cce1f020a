package task

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-go/troupe/internal/progress"
)

// MapOption configures one Map or MapSlice.
type MapOption interface{ applyMap(*mapping) error }

type mapOption func(*mapping) error

func (o mapOption) applyMap(m *mapping) error { return o(m) }

type mapping struct {
	unordered bool
	window    int
	total     int // -1: unknown
	title     string
	bar       bool
	onUpdate  func(ProgressInfo)
}

// Unordered yields results as they finish instead of in order of the inputs.
// [Task.MapSlice] always returns them in order.
func Unordered() MapOption {
	return mapOption(func(m *mapping) error { m.unordered = true; return nil })
}

// Window sets how many inputs are read ahead of the results; n must be at least
// 1. Default: twice the workers, at least 16; 256 for a task that runs elsewhere
// ([On]) without a bound by [Workers].
func Window(n int) MapOption {
	return mapOption(func(m *mapping) error {
		if n < 1 {
			return fmt.Errorf("task: Window(%d): want at least 1", n)
		}
		m.window = n
		return nil
	})
}

// Total says how many inputs there are, for [Progress] and [OnProgress]; n must
// not be negative. Map cannot know; MapSlice does.
func Total(n int) MapOption {
	return mapOption(func(m *mapping) error {
		if n < 0 {
			return fmt.Errorf("task: Total(%d): want no negative number", n)
		}
		m.total = n
		return nil
	})
}

// Progress shows a bar with count, rate and remaining time on a terminal, and a
// plain line every few seconds elsewhere, on standard error.
func Progress(title string) MapOption {
	return mapOption(func(m *mapping) error { m.title, m.bar = title, true; return nil })
}

// OnProgress calls fn after each item, on the goroutine that iterates; a panic
// in fn is contained and logged.
func OnProgress(fn func(ProgressInfo)) MapOption {
	return mapOption(func(m *mapping) error {
		if fn == nil {
			return errors.New("task: OnProgress(nil): want a function")
		}
		m.onUpdate = fn
		return nil
	})
}

// ProgressInfo says how far a Map has come.
type ProgressInfo struct {
	Title   string // of [Progress], else the task's name
	Done    int    // items finished, failed ones included
	Failed  int
	Total   int // -1 if unknown
	Elapsed time.Duration
}

func newMapping(opts []MapOption) (mapping, error) {
	m := mapping{total: -1}
	var faults []error
	for i, opt := range opts {
		if opt == nil {
			faults = append(faults, fmt.Errorf("task: Map option %d is nil", i+1))
		} else if err := opt.applyMap(&m); err != nil {
			faults = append(faults, err)
		}
	}
	return m, errors.Join(faults...)
}

// watched reports whether somebody wants to see the progress.
func (m *mapping) watched() bool { return m.bar || m.onUpdate != nil }

// reporter counts items for those who watch. The nil reporter does nothing.
type reporter struct {
	info  ProgressInfo
	start time.Time
	bar   *progress.Bar
	fn    func(ProgressInfo)
	log   *slog.Logger
}

func (m *mapping) reporter(task string, total int, log *slog.Logger) *reporter {
	if !m.watched() {
		return nil
	}
	r := &reporter{info: ProgressInfo{Title: m.title, Total: total}, start: time.Now(), fn: m.onUpdate, log: log}
	if r.info.Title == "" {
		r.info.Title = task
	}
	if m.bar {
		r.bar = progress.Start(r.info.Title, total)
	}
	return r
}

func (r *reporter) item(err error) {
	if r == nil {
		return
	}
	failed := 0
	if err != nil {
		failed = 1
	}
	r.info.Done++
	r.info.Failed += failed
	if r.bar != nil {
		r.bar.Add(1, failed)
	}
	if r.fn != nil {
		r.info.Elapsed = time.Since(r.start)
		r.call()
	}
}

func (r *reporter) call() {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("troupe: OnProgress panicked", "title", r.info.Title, "panic", p)
		}
	}()
	r.fn(r.info)
}

func (r *reporter) finish(err error) {
	if r != nil && r.bar != nil {
		r.bar.Finish(err)
	}
}
