package wire

import (
	"errors"
	"reflect"
	"time"

	"github.com/troupe-go/troupe/task"
)

// The types of task's marks have no names outside of it. Their own Unwrap gives
// what they mark, so only their kind is to be told.
var (
	permanentType  = reflect.TypeOf(task.Permanent(errors.New("")))
	retryAfterType = reflect.TypeOf(task.RetryAfter(errors.New(""), 0))
)

// markOf notes in f that err is a mark, if it is one.
func markOf(f *Failure, err error) bool {
	switch reflect.TypeOf(err) {
	case permanentType:
		f.Permanent = true
		return true
	case retryAfterType:
		f.Again = true
		f.RetryAfter = reflect.ValueOf(err).Elem().FieldByName("after").Int()
		return true
	}
	return false
}

// marked puts the mark in f on err.
func marked(f *Failure, err error) error {
	if f.GetAgain() {
		err = task.RetryAfter(err, time.Duration(max(f.GetRetryAfter(), 0)))
	}
	if f.GetPermanent() {
		err = task.Permanent(err)
	}
	return err
}
