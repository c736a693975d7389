package graphjson

import (
	"math"
	"testing"
)

func TestInteger(t *testing.T) {
	tests := []struct {
		name, text string
		size       int
		want       int64
	}{
		{"a number is read", `5`, 32, 5},
		{"zero is read", `0`, 32, 0},
		{"a negative zero is zero", `-0`, 32, 0},
		{"a negative number is read", `-17`, 32, -17},
		{"digits in a string are read", `"5368709120"`, 64, 5368709120},
		{"an exponent is read", `1e3`, 32, 1000},
		{"a capital exponent with a sign is read", `1E+3`, 32, 1000},
		{"a fraction of zero is read", `5.0`, 32, 5},
		{"a fraction that an exponent takes away is read", `1.5e1`, 32, 15},
		{"a fraction of zero in a string is read", `"5.0"`, 64, 5},
		{"the largest of 32 bits is read", `2147483647`, 32, math.MaxInt32},
		{"the smallest of 32 bits is read", `-2147483648`, 32, math.MinInt32},
		{"the largest of 64 bits is read", `9223372036854775807`, 64, math.MaxInt64},
		{"the smallest of 64 bits is read", `-9223372036854775808`, 64, math.MinInt64},
		{"the largest of 64 bits in a string is read", `"9223372036854775807"`, 64, math.MaxInt64},
		{"escaped digits are digits", `"\u0035"`, 64, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &Cursor{data: []byte(test.text)}
			got, ok := c.Integer(test.size)
			if err := c.end(); !ok || got != test.want || err != nil {
				t.Errorf("%s was read as %d, %v (%v), want %d", test.text, got, ok, err, test.want)
			}
		})
	}
}

func TestIntegerNotSet(t *testing.T) {
	for _, text := range []string{`null`, `""`} {
		c := &Cursor{data: []byte(text)}
		if got, ok := c.Integer(32); ok || c.end() != nil {
			t.Errorf("%s was read as %d (%v)", text, got, c.end())
		}
	}
}

func TestIntegerOfWrongType(t *testing.T) {
	tests := []struct {
		name, text string
		size       int
	}{
		{"a fraction", `5.5`, 32},
		{"one more than 32 bits hold", `2147483648`, 32},
		{"one less than 32 bits hold", `-2147483649`, 32},
		{"more than 32 bits hold, with an exponent", `1e10`, 32},
		{"one more than 64 bits hold", `9223372036854775808`, 64},
		{"a number that no float holds", `1e999`, 64},
		{"a float that may be inexact", `9007199254740993.0`, 64},
		{"words in a string", `"five"`, 64},
		{"a blank in a string", `" 5"`, 64},
		{"a plus in a string", `"+5"`, 64},
		{"a leading zero in a string", `"05"`, 64},
		{"a hexadecimal number in a string", `"0x10"`, 64},
		{"a hexadecimal float in a string", `"0x1p4"`, 64},
		{"digits with a line between them", `"1_000"`, 64},
		{"not a number", `"NaN"`, 64},
		{"infinity", `"Infinity"`, 64},
		{"a boolean", `true`, 32},
		{"an object", `{"count": 5}`, 32},
		{"an array", `[5]`, 32},
	}
	for _, test := range tests {
		t.Run(test.name+" is refused", func(t *testing.T) {
			c := &Cursor{data: []byte(test.text)}
			if got, ok := c.Integer(test.size); ok {
				t.Fatalf("%s was read as %d", test.text, got)
			}
			wantUnread(t, c)
		})
	}
}

func TestMalformedNumber(t *testing.T) {
	for _, text := range []string{`-`, `+5`, `05`, `.5`, `5.`, `5.e1`, `5e`, `5e+`, `-a`, `5a`, `0x10`, `NaN`, `Infinity`, `1_000`, `٥`} {
		c := &Cursor{data: []byte(text)}
		c.Integer(64)
		wantCause(t, c, CauseSyntax)
		c = &Cursor{data: []byte(text)}
		c.Skip()
		wantCause(t, c, CauseSyntax)
	}
}

func TestBoolean(t *testing.T) {
	tests := []struct {
		name, text string
		value, ok  bool
		cause      Cause
		unread     bool
	}{
		{"true is true", `true`, true, true, "", false},
		{"false is false", `false`, false, true, "", false},
		{"null is not set", `null`, false, false, "", false},
		{"an empty string is not set", `""`, false, false, "", false},
		{"a word in a string is of the wrong type", `"true"`, false, false, "", true},
		{"a number is of the wrong type", `1`, false, false, "", true},
		{"a capital letter is no JSON", `True`, false, false, CauseSyntax, false},
		{"a word that is cut off is no JSON", `tru`, true, true, CauseSyntax, false},
		{"a word with more letters is no JSON", `truely`, true, true, CauseSyntax, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &Cursor{data: []byte(test.text)}
			value, ok := c.Bool()
			if value != test.value || ok != test.ok {
				t.Errorf("got %v, %v", value, ok)
			}
			if test.unread {
				wantUnread(t, c)
				return
			}
			wantCause(t, c, test.cause)
			if test.cause == "" && c.noted() {
				t.Error("a value was noted as unread")
			}
		})
	}
}
