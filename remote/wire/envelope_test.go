package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/remote/wire"
)

// golden returns an envelope with something of most kinds. Maps have one entry,
// as their order is not fixed.
func golden() *wire.Envelope {
	return &wire.Envelope{
		Version: 1, From: 0x1122334455667788, To: 0x99aabbccddeeff00, Seq: 300,
		Names: []string{"square", "cbor", "app.(*Account).Deposit"},
		Calls: []*wire.Call{
			{Id: 1, Task: 1, Codec: 2, Payload: []byte{0x0a}, Remaining: 1e9, Attempt: 2, Idempotent: true,
				Headers: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
			{Id: 2, Task: 1, Codec: 2, Method: 3, Types: 0xfeed, Member: 7, Number: 41},
			{Id: 3, Task: 1, Op: wire.Op_CLOSE, Member: 7},
		},
		Answers: []*wire.Answer{
			{Id: 9, Codec: 2, Payload: []byte{0x18, 0x64}, Ran: 1500},
			{Id: 10, Failure: &wire.Failure{Text: "load: EOF", Causes: []*wire.Failure{{Codes: []string{"io.EOF"}, Text: "EOF"}}}},
			{Id: 11, Failure: &wire.Failure{Panic: &wire.Panic{Task: "square", Value: "boom", Stack: []byte("main.go:1")}}},
		},
		Started: []uint64{9, 10, 11},
		Cancels: []*wire.Cancel{{Id: 4, Cause: &wire.Failure{Codes: []string{"context.Canceled"}, Text: "context canceled"}}},
		Status:  &wire.Status{Running: 3, Queued: 1, Capacity: 4, Credit: 8, Draining: true},
		Pulse:   &wire.Pulse{Seq: 12, Echo: 11},
		Limits: &wire.Limits{
			Acquires: []*wire.Acquire{{Id: 1, Set: "api", Request: map[string]int64{"tokens": 500}, Try: true}},
			Grants:   []*wire.Grant{{Id: 2, Permit: 3, Config: map[string]string{"region": "eu"}}},
			Updates:  []*wire.Update{{Permit: 3, Key: "tokens", Used: 420}},
			Releases: []uint64{3},
			Pauses:   []*wire.Pause{{Set: "api", Key: "calls", Duration: 5e9}},
		},
	}
}

// goldenBytes is golden() as version 1 writes it. It never changes: what reads
// it must go on to do so.
const goldenBytes = "" +
	"08011188776655443322111900ffeeddccbbaa9920ac022a067371756172652a0463626f722a166170702e282a416363" +
	"6f756e74292e4465706f736974325b08011001180222010a288094ebdc033002380142460a0b7472616365706172656e" +
	"74123730302d30616637363531393136636434336464383434386562323131633830333139632d623761643662373136" +
	"393230333333312d30313215080210011802500359edfe00000000000060076829320808031001480260073a0b080910" +
	"021a02186428dc0b3a1e080a221a12096c6f61643a20454f46220d0a06696f2e454f461203454f463a1f080b221b5219" +
	"0a067371756172651204626f6f6d1a096d61696e2e676f3a314203090a0b4a28080412240a10636f6e746578742e4361" +
	"6e63656c65641210636f6e746578742063616e63656c6564520a080310011804200828015a04080c100b72520a160801" +
	"12036170691a0b0a06746f6b656e7310f40320011a12080210031a0c0a06726567696f6e12026575220d10031a06746f" +
	"6b656e7320a4033201033a120a03617069120563616c6c731880e497d012"

func TestWriteMakesTheBytesOfVersionOne(t *testing.T) {
	got, err := proto.MarshalOptions{Deterministic: true}.Marshal(golden())
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != goldenBytes {
		t.Errorf("got %x\nwant %s", got, goldenBytes)
	}
}

func TestReadUnderstandsTheBytesOfVersionOne(t *testing.T) {
	data, err := hex.DecodeString(goldenBytes)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Read(data, wire.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, golden()) {
		t.Errorf("got %v\nwant %v", got, golden())
	}
}

func TestReadIsTheInverseOfWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := envelopes.Draw(t, "envelope")
		data, err := wire.Write(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.Read(data, wire.Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
	})
}

// text may be no UTF-8.
var text = rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "text")) })

var ids = rapid.Uint64Min(1)

var failures = failuresOf(4)

func failuresOf(depth int) *rapid.Generator[*wire.Failure] {
	return rapid.Custom(func(t *rapid.T) *wire.Failure {
		f := &wire.Failure{
			Codes:      rapid.SliceOfN(text, 0, 2).Draw(t, "codes"),
			Text:       text.Draw(t, "text"),
			Joined:     rapid.Bool().Draw(t, "joined"),
			Permanent:  rapid.Bool().Draw(t, "permanent"),
			RetryAfter: rapid.Int64().Draw(t, "after"),
		}
		if depth > 0 {
			f.Causes = rapid.SliceOfN(failuresOf(depth-1), 0, 2).Draw(t, "causes")
		}
		return f
	})
}

var envelopes = rapid.Custom(func(t *rapid.T) *wire.Envelope {
	e := &wire.Envelope{
		Version: 1, From: ids.Draw(t, "from"), To: ids.Draw(t, "to"), Seq: rapid.Uint64().Draw(t, "seq"),
		Names:   rapid.SliceOfN(text, 1, 4).Draw(t, "names"),
		Started: rapid.SliceOfN(ids, 0, 3).Draw(t, "started"),
	}
	place := rapid.Uint32Range(1, uint32(len(e.Names)))
	for range rapid.IntRange(0, 3).Draw(t, "calls") {
		e.Calls = append(e.Calls, &wire.Call{
			Id: ids.Draw(t, "id"), Task: place.Draw(t, "task"), Codec: place.Draw(t, "codec"),
			Payload: []byte(text.Draw(t, "payload")), Remaining: rapid.Int64Min(0).Draw(t, "remaining"),
			Attempt: rapid.Uint32().Draw(t, "attempt"), Idempotent: rapid.Bool().Draw(t, "idempotent"),
			Headers: rapid.MapOfN(text, text, 0, 2).Draw(t, "headers"),
			Method:  place.Draw(t, "method"), Types: rapid.Uint64().Draw(t, "types"),
			Member: ids.Draw(t, "member"), Number: ids.Draw(t, "number"),
			Op: rapid.SampledFrom([]wire.Op{wire.Op_RUN, wire.Op_OPEN, wire.Op_CLOSE}).Draw(t, "op"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(t, "answers") {
		a := &wire.Answer{Id: ids.Draw(t, "id"), Ran: rapid.Int64Min(0).Draw(t, "ran")}
		if rapid.Bool().Draw(t, "failed") {
			a.Failure = failures.Draw(t, "failure")
		} else {
			a.Codec, a.Payload = place.Draw(t, "codec"), []byte(text.Draw(t, "payload"))
		}
		e.Answers = append(e.Answers, a)
	}
	return e
})

func TestReadPassesOverFieldsOfLaterVersions(t *testing.T) {
	data, err := wire.Write(golden())
	if err != nil {
		t.Fatal(err)
	}
	data = protowire.AppendTag(data, 99, protowire.BytesType)
	data = protowire.AppendString(data, "news")
	got, err := wire.Read(data, wire.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, golden()) {
		t.Errorf("got %v\nwant %v", got, golden())
	}
}

func TestReadRefusesAnotherVersionButForAHello(t *testing.T) {
	e := golden()
	e.Version = wire.MaxVersion + 1
	data, err := wire.Write(e)
	if err != nil {
		t.Fatal(err)
	}
	var fault *wire.VersionError
	if _, err := wire.Read(data, wire.Bounds{}); !errors.As(err, &fault) || fault.TheirMin != wire.MaxVersion+1 {
		t.Errorf("got %v, want a VersionError about version %d", err, wire.MaxVersion+1)
	}
	hello := &wire.Envelope{Version: 77, From: 5, Hello: &wire.Hello{Incarnation: 5, Versions: &wire.Versions{Min: 77, Max: 78}}}
	if err := hello.Validate(); err != nil {
		t.Errorf("a Hello of version 77: %v", err)
	}
	for name, add := range map[string]func(*wire.Envelope){
		"calls":   func(e *wire.Envelope) { e.Calls = golden().Calls },
		"answers": func(e *wire.Envelope) { e.Answers = golden().Answers },
		"started": func(e *wire.Envelope) { e.Started = golden().Started },
		"cancels": func(e *wire.Envelope) { e.Cancels = golden().Cancels },
		"limits":  func(e *wire.Envelope) { e.Limits = golden().Limits },
	} {
		more := proto.Clone(hello).(*wire.Envelope)
		more.Names = golden().Names
		add(more)
		var fault *wire.EnvelopeError
		if err := more.Validate(); !errors.As(err, &fault) || fault.Field != "hello" {
			t.Errorf("a Hello of version 77 with %s: got %v", name, err)
		}
	}
}

func TestReadDoesNotKeepItsInput(t *testing.T) {
	data, err := wire.Write(golden())
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Read(data, wire.Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if !bytes.Equal(got.Calls[0].Payload, []byte{0x0a}) || got.Names[0] != "square" {
		t.Error("the envelope changed with its input")
	}
}

func TestValidateNamesTheFault(t *testing.T) {
	for want, breakIt := range map[string]func(*wire.Envelope){
		"wire: from: is 0": func(e *wire.Envelope) { e.From = 0 },
		"wire: to: is 0":   func(e *wire.Envelope) { e.To = 0 },
		"wire: hello.incarnation: is not the sender's":                      func(e *wire.Envelope) { e.Hello = &wire.Hello{Incarnation: 3} },
		"wire: hello: comes with a welcome":                                 func(e *wire.Envelope) { e.Hello, e.Welcome = &wire.Hello{Incarnation: e.From}, &wire.Welcome{} },
		"wire: welcome.incarnation: is not the sender's":                    func(e *wire.Envelope) { e.Welcome = &wire.Welcome{} },
		"wire: calls[1].id: is 0":                                           func(e *wire.Envelope) { e.Calls[1].Id = 0 },
		"wire: calls[0].task: is missing":                                   func(e *wire.Envelope) { e.Calls[0].Task = 0 },
		"wire: calls[0].task: is beyond the names":                          func(e *wire.Envelope) { e.Calls[0].Task = 4 },
		"wire: calls[0].codec: is beyond the names":                         func(e *wire.Envelope) { e.Calls[0].Codec = 1<<32 - 1 },
		"wire: calls[1].method: is beyond the names":                        func(e *wire.Envelope) { e.Calls[1].Method = 4 },
		"wire: calls[1].method: has no member":                              func(e *wire.Envelope) { e.Calls[1].Member = 0 },
		"wire: calls[0].payload: has no codec":                              func(e *wire.Envelope) { e.Calls[0].Codec = 0 },
		"wire: calls[0].remaining: is negative":                             func(e *wire.Envelope) { e.Calls[0].Remaining = -1 },
		"wire: calls[2].op: is unknown":                                     func(e *wire.Envelope) { e.Calls[2].Op = 17 },
		"wire: calls[2].member: is missing":                                 func(e *wire.Envelope) { e.Calls[2].Member = 0 },
		"wire: answers[0].id: is 0":                                         func(e *wire.Envelope) { e.Answers[0].Id = 0 },
		"wire: answers[0].codec: is beyond the names":                       func(e *wire.Envelope) { e.Answers[0].Codec = 9 },
		"wire: answers[0].payload: has no codec":                            func(e *wire.Envelope) { e.Answers[0].Codec = 0 },
		"wire: answers[0].ran: is negative":                                 func(e *wire.Envelope) { e.Answers[0].Ran = -5 },
		"wire: answers[0].failure: comes with a result":                     func(e *wire.Envelope) { e.Answers[0].Failure = &wire.Failure{} },
		"wire: answers[0].undone: comes with an outcome":                    func(e *wire.Envelope) { e.Answers[0].Undone = true },
		"wire: answers[1].undone: comes with an outcome":                    func(e *wire.Envelope) { e.Answers[1].Undone = true },
		"wire: calls[0].lease.permit: is 0":                                 func(e *wire.Envelope) { e.Calls[0].Lease = &wire.Lease{} },
		"wire: started[2].id: is 0":                                         func(e *wire.Envelope) { e.Started[2] = 0 },
		"wire: cancels[0].id: is 0":                                         func(e *wire.Envelope) { e.Cancels[0].Id = 0 },
		"wire: limits.acquires[0].id: is 0":                                 func(e *wire.Envelope) { e.Limits.Acquires[0].Id = 0 },
		"wire: limits.withdrawals[0].id: is 0":                              func(e *wire.Envelope) { e.Limits.Withdrawals = []uint64{0} },
		"wire: limits.grants[0].id: is 0":                                   func(e *wire.Envelope) { e.Limits.Grants[0].Id = 0 },
		"wire: limits.grants[0].permit: wants either a permit or a failure": func(e *wire.Envelope) { e.Limits.Grants[0].Permit = 0 },
		"wire: limits.updates[0].permit: is 0":                              func(e *wire.Envelope) { e.Limits.Updates[0].Permit = 0 },
		"wire: limits.updated[0].id: is 0":                                  func(e *wire.Envelope) { e.Limits.Updated = []*wire.Updated{{}} },
		"wire: limits.releases[0].permit: is 0":                             func(e *wire.Envelope) { e.Limits.Releases[0] = 0 },
		"wire: limits.pauses[0].duration: is negative":                      func(e *wire.Envelope) { e.Limits.Pauses[0].Duration = -1 },
		"wire: limits.queries[0].id: is 0":                                  func(e *wire.Envelope) { e.Limits.Queries = []*wire.Query{{}} },
		"wire: limits.stats[0].id: is 0":                                    func(e *wire.Envelope) { e.Limits.Stats = []*wire.Stats{{}} },
		"wire: limits.stats[0].paused: is negative": func(e *wire.Envelope) {
			e.Limits.Stats = []*wire.Stats{{Id: 1, Stats: []*wire.Stat{{Paused: -1}}}}
		},
	} {
		e := golden()
		breakIt(e)
		err := e.Validate()
		var fault *wire.EnvelopeError
		if !errors.As(err, &fault) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := golden().Validate(); err != nil {
		t.Errorf("an envelope without fault: %v", err)
	}
	if err := new(wire.Envelope).Validate(); err == nil {
		t.Error("an empty envelope is valid")
	}
}

func TestNameIsEmptyOutsideOfTheTable(t *testing.T) {
	e := golden()
	for place, want := range map[uint32]string{0: "", 1: "square", 3: "app.(*Account).Deposit", 4: "", 1<<32 - 1: ""} {
		if got := e.Name(place); got != want {
			t.Errorf("Name(%d) = %q, want %q", place, got, want)
		}
	}
}

func TestNewIncarnationIsNewEachTime(t *testing.T) {
	if a, b := wire.NewIncarnation(), wire.NewIncarnation(); a == b || a == 0 {
		t.Errorf("got %d and %d", a, b)
	}
}

func TestReadErrorsSayWhatIsWrongWithTheBytes(t *testing.T) {
	_, err := wire.Read([]byte{0xff}, wire.Bounds{})
	var fault *wire.EnvelopeError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "not well-formed") || errors.Unwrap(fault) == nil {
		t.Errorf("got %v", err)
	}
}
