package actor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	proto "github.com/asynkron/protoactor-go/actor"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// square is a function like any other.
func square(_ context.Context, x int) (int, error) { return x * x, nil }

// A System of one's own, with a task in it.
func Example() {
	sys := actor.NewSystem(actor.Name("numbers"))
	squares := task.MustNew(square, task.System(sys))

	answer := squares.Submit(context.Background(), 12)
	fmt.Println(answer.Result())
	fmt.Println(sys.Stop(context.Background()))
	// Output:
	// 144 <nil>
	// <nil>
}

func ExampleNewSystem() {
	sys := actor.NewSystem(
		actor.Name("numbers"),
		actor.Logger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	fmt.Println(sys.Snapshot().Name)
	// Output: numbers
}

// Tasks in an ActorSystem that the program has already.
func ExampleWrap() {
	engine := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	sys := actor.Wrap(engine)
	squares := task.MustNew(square, task.System(sys), task.Name("squares"))
	answer, _ := actor.NewFuture[int]()
	engine.Root.RequestWithCustomSender(squares.PID(), 12, answer.PID(sys))
	fmt.Println(answer.Result())

	_ = sys.Stop(context.Background()) // the tasks, not the engine
	fmt.Println("same again:", actor.Wrap(engine) == sys, "engine stopped:", engine.IsStopped())
	// Output:
	// 144 <nil>
	// same again: true engine stopped: false
}

func ExampleDefault() {
	squares := task.MustNew(square) // without task.System
	fmt.Println(len(actor.Default().Snapshot().Tasks), "task in the default system")
	squares.Stop()
	// Output: 1 task in the default system
}

func ExampleSystem_Stop() {
	sys := actor.NewSystem()
	for range 3 {
		task.MustNew(square, task.System(sys)).Submit(context.Background(), 2)
	}
	fmt.Println("before:", len(sys.Snapshot().Tasks))
	if err := sys.Stop(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println("after:", len(sys.Snapshot().Tasks))
	// Output:
	// before: 3
	// after: 0
}

func ExampleSystem_Snapshot() {
	sys := actor.NewSystem(actor.Name("numbers"))
	squares := task.MustNew(square, task.System(sys), task.Name("squares"), task.Workers(2))
	for i := range 10 {
		_, _ = squares.Submit(context.Background(), i).Result()
	}
	t := sys.Snapshot().Tasks[0]
	fmt.Println(t.Name, t.State, t.PID, t.Submitted, t.Finished, t.Queued)

	text, _ := json.Marshal(t) // what a dashboard would be sent
	fmt.Println(json.Valid(text))
	_ = sys.Stop(context.Background())
	// Output:
	// squares running nonhost/task/squares 10 10 0
	// true
}

func ExampleMeterProvider() {
	reader := sdkmetric.NewManualReader()
	sys := actor.NewSystem(actor.MeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	squares := task.MustNew(square, task.System(sys))
	_, _ = squares.Submit(context.Background(), 12).Result()

	var all metricdata.ResourceMetrics
	_ = reader.Collect(context.Background(), &all)
	for _, m := range all.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "troupe.task.submitted" {
			fmt.Println(m.Name, sum.DataPoints[0].Value)
		}
	}
	_ = sys.Stop(context.Background())
	// Output: troupe.task.submitted 1
}

func ExampleTracerProvider() {
	spans := tracetest.NewSpanRecorder()
	sys := actor.NewSystem(actor.TracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))))
	squares := task.MustNew(square, task.System(sys), task.Name("squares"))
	_, _ = squares.Submit(context.Background(), 12).Result()
	_ = sys.Stop(context.Background())
	for _, s := range spans.Ended() {
		fmt.Println(s.Name())
	}
	// Output: task squares
}

func ExampleLogger() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	sys := actor.NewSystem(actor.Logger(log))
	actor.Wrap(sys.ActorSystem(), actor.Name("other"))
	// Output: level=WARN msg="troupe: this ActorSystem is wrapped already; the options of the first Wrap stay in force" system=troupe
}
