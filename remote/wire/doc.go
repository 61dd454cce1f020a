// Package wire is what nodes and child processes say to each other: one
// protobuf message, the [Envelope], and what goes into it. It holds no
// connection, goroutine or clock; package remote does.
//
//	codecs, _ := wire.NewCodecs()
//	p, err := wire.Encode(codecs, order, 16<<20)
//	full := batcher.AddCall(&wire.Call{Id: 1, Payload: p.Data}, wire.Names{Task: "orders.price", Codec: p.Codec})
//
// # Envelopes
//
// An envelope carries calls, answers and the rest, many at a time, between two
// incarnations: lives of a process, told apart by a random number. What is
// meant for another incarnation is old and to be dropped. A [Batcher] fills
// envelopes up to a size. [Read] decodes them and is safe with any input;
// where a library decodes, [Check] goes before and [Envelope.Validate] after.
//
// Two sides agree on a version of the protocol with [Negotiate]. Fields that a
// version does not know are passed over. envelope.proto says what each means.
//
// # Values
//
// A protobuf message, or a pointer to one, travels as protobuf; everything else
// as CBOR ([DefaultFor]). A [Codec] of one's own goes to [NewCodecs]. As CBOR:
//
//   - Exported fields travel, under the names that encoding/json would give
//     them. A type of which nothing would arrive, and one that cannot be sent,
//     is found by [Portable].
//   - Nil and empty slices and maps stay what they are. A []byte is a byte
//     string. A string may hold any bytes. NaN stays NaN, without its payload.
//   - A time.Time arrives as the same instant with the same offset from UTC;
//     its zone's name and its monotonic reading do not. The year must have
//     four digits.
//   - What methods MarshalCBOR, MarshalBinary or MarshalText write is taken, in
//     this order.
//   - In an any arrive: int64 for all integers that fit, float64, string,
//     []byte, bool, nil, []any, map[string]any for structs and maps (with other
//     keys that is an error), time.Time (nil for the zero time), big.Int.
//   - Pointers to the same thing arrive as pointers to equal things, those to
//     what is nil or a zero time as nil. What holds itself is an error, as is a
//     protobuf message in an interface.
//   - What embeds a protobuf message is none, although it has its methods: it
//     is an error, as its other fields would be lost.
//
// # Errors
//
// [EncodeError] and [DecodeError] keep text and structure of an error: Error()
// says the same, and Unwrap leads the same way. errors.Is finds the sentinels
// that are registered on both sides: those of this module, context, io, fs, and
// some of net, os, errors and strconv, and those given to [RegisterError].
// errors.As finds *task.PanicError, *task.TimeoutError, *task.RetryError,
// *task.LostError, *task.CrashError, *limits.RequestError, *fs.PathError, *os.LinkError, *os.SyscallError,
// *strconv.NumError, a net.Error that is a timeout, the errors of this package,
// and types given to [RegisterErrorType]. The marks of task.Permanent and
// task.RetryAfter are kept, as is errors.Join.
//
// # Schemas
//
// A [Schema] names a task and the structure of its types, so that two programs
// notice that they mean different things before a call is lost between them.
//
// # Guarantees
//
//   - No input makes Check, Read, Decode, DecodeError or Validate panic.
//   - Read takes memory of about ten times the size of its input and 512 B for
//     each item, both bounded by [Bounds].
//   - The same value gives the same CBOR, and the same type the same hash, in
//     every process and build.
//   - Codes of errors, numbers of fields and the ids of codecs keep their
//     meaning in later versions.
//   - EncodeError and DecodeError never fail. An error of 1,000 errors, 100 deep,
//     with 64 KiB of text each and 256 KiB in all is kept whole; of what is
//     above, texts are cut, and errors.Is still finds sentinels.
//   - DecodeError makes 1,000 errors at most, whatever its input, and restores
//     types from 256 KiB of details at most.
//
// # Not guaranteed
//
//   - The type of an error that is not registered, and pointers of one that is.
//   - The value of a panic: it arrives as text, or as an error if it was one.
//   - Arguments and results of a RetryError's attempts, which do not travel; of
//     their errors, all but the last are text.
//   - Decode takes memory of up to the size of T's largest element for each
//     byte of the payload. Whoever may send payloads can use that much.
package wire
