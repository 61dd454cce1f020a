package wire_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/remote/wire"
)

var head = wire.Head{Version: 1, From: 1 << 60, To: 1 << 61}

// few repeat themselves.
var few = rapid.SampledFrom([]string{"", "a", "bb", "a name that is longer than others"})

func TestBatcherKeepsOrderAndBoundsAndLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 2000).Draw(t, "bytes")
		bounds := wire.Bounds{Bytes: most, Items: rapid.IntRange(1, 60).Draw(t, "items")}
		b := wire.NewBatcher(head, bounds)
		var sent []*wire.Envelope
		keep := func(e *wire.Envelope) {
			if e != nil {
				sent = append(sent, e)
			}
		}
		var calls, answers, started, cancels, acquires []uint64
		names := make(map[uint64]wire.Names)
		for id := range uint64(rapid.IntRange(0, 60).Draw(t, "items")) {
			id++
			payload := make([]byte, rapid.IntRange(0, 300).Draw(t, "size"))
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0, 1, 2:
				n := wire.Names{Task: few.Draw(t, "task"), Method: few.Draw(t, "method"), Codec: few.Draw(t, "codec")}
				keep(b.AddCall(&wire.Call{Id: id, Payload: payload, Attempt: 1 << 31, Remaining: 1 << 62, Types: 1 << 60, Member: 1 << 63,
					Idempotent: true, Op: wire.Op_OPEN, Headers: map[string]string{"a": text.Draw(t, "v"), "b": ""}, Number: 1 << 60, Limits: text.Draw(t, "limits"), Lease: &wire.Lease{Permit: 1, Config: map[string]string{"b": text.Draw(t, "config")}}}, n))
				calls, names[id] = append(calls, id), n
			case 3:
				keep(b.AddAnswer(&wire.Answer{Id: id, Payload: payload, Ran: 1 << 62, Failure: failures.Draw(t, "failure")}, few.Draw(t, "codec")))
				answers = append(answers, id)
			case 4:
				keep(b.AddStarted(id))
				started = append(started, id)
			case 5:
				keep(b.AddCancel(&wire.Cancel{Id: id, Cause: failures.Draw(t, "cause")}))
				cancels = append(cancels, id)
			case 6:
				keep(b.AddLimits(&wire.Limits{Acquires: []*wire.Acquire{{Id: id, Set: "api"}}}))
				acquires = append(acquires, id)
			case 7:
				keep(b.SetStatus(&wire.Status{Running: uint32(id)}))
				keep(b.SetPulse(&wire.Pulse{Seq: id}))
			}
		}
		keep(b.Flush())
		if b.Len() != 0 || b.Flush() != nil {
			t.Error("something is left after Flush")
		}

		var gotCalls, gotAnswers, gotStarted, gotCancels, gotAcquires []uint64
		for i, e := range sent {
			if e.Seq != uint64(i+1) || e.Version != head.Version || e.From != head.From || e.To != head.To {
				t.Errorf("envelope %d has the head %v", i, e)
			}
			added := len(e.Calls) + len(e.Answers) + len(e.Started) + len(e.Cancels) + len(e.GetLimits().GetAcquires())
			if e.Status != nil || e.Pulse != nil {
				added++
			}
			data, err := wire.Write(e)
			if err != nil {
				t.Fatal(err)
			}
			if err := wire.Check(data, bounds); err != nil && added > 1 {
				t.Errorf("envelope %d is refused: %v", i, err)
			}
			for _, c := range e.Calls {
				gotCalls = append(gotCalls, c.Id)
				if got := (wire.Names{Task: e.Name(c.Task), Method: e.Name(c.Method), Codec: e.Name(c.Codec)}); got != names[c.Id] {
					t.Errorf("call %d: names %q, want %q", c.Id, got, names[c.Id])
				}
			}
			for _, a := range e.Answers {
				gotAnswers = append(gotAnswers, a.Id)
			}
			gotStarted = append(gotStarted, e.Started...)
			for _, c := range e.Cancels {
				gotCancels = append(gotCancels, c.Id)
			}
			for _, a := range e.GetLimits().GetAcquires() {
				gotAcquires = append(gotAcquires, a.Id)
			}
		}
		for what, pair := range map[string][2][]uint64{
			"calls": {gotCalls, calls}, "answers": {gotAnswers, answers}, "started": {gotStarted, started},
			"cancels": {gotCancels, cancels}, "acquires": {gotAcquires, acquires},
		} {
			if !slices.Equal(pair[0], pair[1]) {
				t.Errorf("%s: got %d, want %d", what, pair[0], pair[1])
			}
		}
	})
}

func TestBatcherSendsAnItemAboveTheBoundAlone(t *testing.T) {
	b := wire.NewBatcher(head, wire.Bounds{Bytes: 1000})
	small := func(id uint64) *wire.Call { return &wire.Call{Id: id} }
	if got := b.AddCall(small(1), wire.Names{Task: "t"}); got != nil {
		t.Fatalf("got %v before anything is full", got)
	}
	first := b.AddCall(&wire.Call{Id: 2, Payload: make([]byte, 5000)}, wire.Names{Task: "t", Codec: "cbor"})
	second := b.AddCall(small(3), wire.Names{Task: "t"})
	third := b.Flush()
	for i, e := range []*wire.Envelope{first, second, third} {
		if e == nil || len(e.Calls) != 1 || e.Calls[0].Id != uint64(i+1) || e.Validate() != nil {
			t.Errorf("envelope %d: got %v", i, e)
		}
	}
}

func TestBatcherPutsPanicsTogether(t *testing.T) {
	bounds := wire.Bounds{Items: 240}
	b := wire.NewBatcher(head, bounds)
	var full *wire.Envelope
	for id := uint64(1); full == nil; id++ {
		full = b.AddAnswer(&wire.Answer{Id: id, Failure: &wire.Failure{
			Text: "t", Details: []byte{0},
			Panic:  &wire.Panic{Task: "t", Value: "v", Stack: make([]byte, 64<<10)},
			Causes: []*wire.Failure{{Codes: []string{"io.EOF"}, Text: "EOF", Details: []byte{0}}},
		}}, "")
	}
	if got := len(full.Answers); got < 15 {
		t.Errorf("%d answers were said to be %d items", got, bounds.Items)
	}
	data, err := wire.Write(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.Check(data, bounds); err != nil {
		t.Errorf("%d answers: %v", len(full.Answers), err)
	}
}

func TestBatcherNamesEachNameOnce(t *testing.T) {
	b := wire.NewBatcher(head, wire.Bounds{})
	for id := range uint64(100) {
		b.AddCall(&wire.Call{Id: id + 1}, wire.Names{Task: "square", Codec: "cbor"})
	}
	b.AddAnswer(&wire.Answer{Id: 1}, "cbor")
	if got := b.Len(); got != 101 {
		t.Errorf("Len() = %d, want 101", got)
	}
	if got, want := b.Flush().Names, []string{"square", "cbor"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBatcherCarriesHandshakes(t *testing.T) {
	b := wire.NewBatcher(wire.Head{Version: 1, From: 5}, wire.Bounds{})
	b.SetHello(&wire.Hello{Incarnation: 5, Versions: wire.Supported()})
	if e := b.Flush(); e.Validate() != nil || e.GetHello().GetVersions().GetMax() != wire.MaxVersion {
		t.Errorf("got %v: %v", e, e.Validate())
	}
	b.SetWelcome(&wire.Welcome{Incarnation: 5})
	if e := b.Flush(); e.GetWelcome() == nil || e.Seq != 2 {
		t.Errorf("got %v", e)
	}
}
