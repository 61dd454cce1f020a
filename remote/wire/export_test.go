package wire

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// ShapeFaults tells where the table of Check differs from the description of
// the envelope.
func ShapeFaults(d protoreflect.MessageDescriptor) []string {
	return shapeFaults(d, &envelopeShape, make(map[protoreflect.FullName]bool))
}

func shapeFaults(d protoreflect.MessageDescriptor, s *shape, seen map[protoreflect.FullName]bool) (faults []string) {
	if seen[d.FullName()] {
		return nil
	}
	seen[d.FullName()] = true
	for number := range protoreflect.FieldNumber(len(s.fields)) {
		f := d.Fields().ByNumber(number)
		entered, counted := false, false
		if f != nil {
			entered = f.Kind() == protoreflect.MessageKind
			counted = f.Kind() == protoreflect.BytesKind || f.Kind() == protoreflect.StringKind
		}
		got := s.fields[number]
		switch {
		case counted != (got == &opaqueShape), (entered || counted) != (got != nil):
			faults = append(faults, fmt.Sprintf("%s: field %d", d.FullName(), number))
		case entered:
			faults = append(faults, shapeFaults(f.Message(), got, seen)...)
		}
	}
	for i := range d.Fields().Len() {
		if f := d.Fields().Get(i); int(f.Number()) >= len(s.fields) {
			faults = append(faults, fmt.Sprintf("%s: field %d is above the table", d.FullName(), f.Number()))
		}
	}
	return faults
}
