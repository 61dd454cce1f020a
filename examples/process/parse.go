package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

// parse reads "name=number" with a library that nobody maintains any more: there are inputs that end the process,
// that never end, and that eat all memory.
func parse(_ context.Context, input string) (int, error) {
	name, number, _ := strings.Cut(input, "=")
	switch name {
	case "chatty":
		fmt.Println("debug: parsing", input) // where others expect results
	case "segfault":
		address := uintptr(0xdead0000)
		**(**int)(unsafe.Pointer(&address)) = 1
	case "exit":
		fmt.Fprintln(os.Stderr, "unsupported input")
		os.Exit(3)
	case "spin":
		for i := 1; i > 0; { // without a look at ctx
			i = i%7 + 1
		}
	case "leak":
		for {
			leaked = append(leaked, block())
		}
	case "panic":
		return len(strings.Split(input, ",")[1]), nil
	}
	return strconv.Atoi(number)
}

var leaked [][]byte

func block() []byte {
	b := make([]byte, 4<<20)
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1 // or the system would not give it yet
	}
	return b
}

// inputs are 2,000, most of them harmless.
func inputs() []string {
	all := make([]string, 2000)
	for i := range all {
		name := "record"
		switch i % 400 {
		case 100, 200:
			name = "chatty"
		case 17:
			name = "segfault"
		case 42:
			name = "exit"
		case 77:
			name = "panic"
		case 99:
			name = "malformed"
		}
		switch i {
		case 500, 1500:
			name = "spin"
		case 700, 1700:
			name = "leak"
		}
		number := strconv.Itoa(i)
		if name == "malformed" {
			number += "?"
		}
		all[i] = name + "=" + number
	}
	return all
}
