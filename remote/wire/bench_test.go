package wire_test

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-go/troupe/remote/wire"
	"github.com/troupe-go/troupe/task"
)

const perEnvelope = 64

// batch returns an envelope of 64 calls of 64 B.
func batch(b *wire.Batcher, payload []byte) *wire.Envelope {
	for id := range uint64(perEnvelope) {
		b.AddCall(&wire.Call{Id: id + 1, Payload: payload, Attempt: 1, Remaining: 5e9}, wire.Names{Task: "square", Codec: "cbor"})
	}
	return b.Flush()
}

func perCall(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perEnvelope, "ns/call")
	b.ReportAllocs()
}

func BenchmarkEnvelope(b *testing.B) {
	payload := make([]byte, 64)
	data, err := wire.Write(batch(wire.NewBatcher(head, wire.Bounds{}), payload))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("fill", func(b *testing.B) {
		batcher := wire.NewBatcher(head, wire.Bounds{})
		for b.Loop() {
			batch(batcher, payload)
		}
		perCall(b)
	})
	b.Run("fill and write", func(b *testing.B) {
		batcher := wire.NewBatcher(head, wire.Bounds{})
		for b.Loop() {
			if _, err := wire.Write(batch(batcher, payload)); err != nil {
				b.Fatal(err)
			}
		}
		perCall(b)
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if err := wire.Check(data, wire.Bounds{}); err != nil {
				b.Fatal(err)
			}
		}
		perCall(b)
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := wire.Read(data, wire.Bounds{}); err != nil {
				b.Fatal(err)
			}
		}
		perCall(b)
	})
	b.Run("plain protobuf read", func(b *testing.B) {
		for b.Loop() {
			if err := proto.Unmarshal(data, &wire.Envelope{}); err != nil {
				b.Fatal(err)
			}
		}
		perCall(b)
	})
	b.Run("all", func(b *testing.B) {
		batcher := wire.NewBatcher(head, wire.Bounds{})
		for b.Loop() {
			data, err := wire.Write(batch(batcher, payload))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := wire.Read(data, wire.Bounds{}); err != nil {
				b.Fatal(err)
			}
		}
		perCall(b)
	})
}

func BenchmarkPayload(b *testing.B) {
	codecs := standard(b)
	run := func(name string, there func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := there(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("int", roundTrip(codecs, 12345))
	run("string of 64", roundTrip(codecs, string(make([]byte, 64))))
	run("struct", roundTrip(codecs, line{Item: "book", Count: 3}))
	run("list of 10", roundTrip(codecs, chainOf(10)))
	run("nothing", roundTrip(codecs, struct{}{}))
}

func roundTrip[T any](codecs *wire.Codecs, v T) func() error {
	return func() error {
		p, err := wire.Encode(codecs, v, limit)
		if err != nil {
			return err
		}
		_, err = wire.Decode[T](codecs, p)
		return err
	}
}

func BenchmarkError(b *testing.B) {
	for name, err := range map[string]error{
		"sentinel": errOwn,
		"wrapped":  fmt.Errorf("load: %w", fmt.Errorf("row 5: %w", errOwn)),
		"timeout":  &task.TimeoutError{},
		"unknown":  errors.New("x"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = wire.DecodeError(wire.EncodeError(err))
			}
		})
	}
}
