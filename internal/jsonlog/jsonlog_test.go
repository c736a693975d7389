package jsonlog_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/internal/jsonlog"
)

// same fails unless both handlers write the same bytes of a record.
func same(t *testing.T, r slog.Record) {
	t.Helper()
	var own, other bytes.Buffer
	handler := slog.NewJSONHandler(&other, nil)
	errOther := handler.Handle(t.Context(), r.Clone())
	errOwn := jsonlog.New(&own).Handle(t.Context(), r)
	if own.String() != other.String() || (errOwn == nil) != (errOther == nil) {
		t.Errorf("got %q, %v, want %q, %v", own.String(), errOwn, other.String(), errOther)
	}
	var attributes []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		attributes = append(attributes, a)
		return true
	})
	own.Reset()
	errOwn = jsonlog.New(&own).Log(t.Context(), r.Time, r.Level, r.Message, attributes)
	if own.String() != other.String() || (errOwn == nil) != (errOther == nil) {
		t.Errorf("without a record: got %q, %v, want %q, %v", own.String(), errOwn, other.String(), errOther)
	}
}

// secret is a value that says how it is shown.
type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("set") }

func TestLinesAreThoseOfSlog(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 13, 14, 15_000, time.FixedZone("", 3600))
	for name, attributes := range map[string][]slog.Attr{
		"none":    nil,
		"plain":   {slog.String("method", "/a.b/C"), slog.Int("n", -3), slog.Uint64("u", math.MaxUint64), slog.Bool("yes", true)},
		"times":   {slog.Duration("took", 1234567), slog.Time("at", now), slog.Time("never", time.Time{}), slog.Time("far", now.AddDate(9000, 0, 0))},
		"floats":  {slog.Float64("f", 1.5), slog.Float64("nan", math.NaN()), slog.Float64("inf", math.Inf(1))},
		"any":     {slog.Any("error", errors.New("a\nb")), slog.Any("nil", nil), slog.Any("map", map[string]int{"a": 1}), slog.Any("bad", func() {})},
		"valuer":  {slog.Any("key", secret{})},
		"groups":  {slog.Group("g", slog.Int("a", 1), slog.Group("")), slog.Group("empty"), slog.Int("after", 1)},
		"no keys": {slog.String("", "x"), {}, slog.Int("after", 1)},
		"many": {
			slog.Int("1", 1), slog.Int("2", 1), slog.Int("3", 1), slog.Int("4", 1), slog.Int("5", 1), slog.Int("6", 1), slog.Int("7", 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, at := range []time.Time{now, now.UTC(), time.Now(), {}, now.AddDate(9000, 0, 0)} {
				for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, slog.LevelError + 3} {
					r := slog.NewRecord(at, level, "call", 0)
					r.AddAttrs(attributes...)
					same(t, r)
				}
			}
		})
	}
}

func TestLoggersMadeOfTheHandler(t *testing.T) {
	var own, other bytes.Buffer
	for out, handler := range map[*bytes.Buffer]slog.Handler{&own: jsonlog.New(&own), &other: slog.NewJSONHandler(&other, &slog.HandlerOptions{ReplaceAttr: withoutTime})} {
		logger := slog.New(handler)
		logger.With("a", 1).WithGroup("g").Info("text", "b", "\x00")
		logger.With().WithGroup("").Warn("text")
		logger.Debug("not shown")
		if out == &own {
			own = *bytes.NewBuffer(timePattern(own.Bytes()))
		}
	}
	if own.String() != other.String() {
		t.Errorf("got %q, want %q", own.String(), other.String())
	}
}

// withoutTime leaves the time out of a line.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// timePattern takes the time out of lines.
func timePattern(lines []byte) (without []byte) {
	for line := range bytes.Lines(lines) {
		_, rest, _ := bytes.Cut(line, []byte(","))
		without = append(append(without, '{'), rest...)
	}
	return without
}

// A failed write is the handler's error.
func TestWriteThatFails(t *testing.T) {
	for _, text := range []string{"plain", "\n"} {
		if err := jsonlog.New(broken{}).Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, text, 0)); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%q: %v", text, err)
		}
		if err := jsonlog.New(broken{}).Log(t.Context(), time.Now(), slog.LevelInfo, text, nil); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%q without a record: %v", text, err)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func FuzzTextsAreThoseOfSlog(f *testing.F) {
	for _, text := range []string{"", "plain", `"`, `\`, "<&>", "\x7f", "\x00\n\t\r\b\f", "ä", "\xff", "\u2028\u2029", "\ufffd", "a\x1fb"} {
		f.Add(text, "key", text, int64(0))
		f.Add("call", text, "value", int64(-1))
	}
	f.Fuzz(func(t *testing.T, message, key, value string, n int64) {
		r := slog.NewRecord(time.Unix(n%(1<<40), n%1e9), slog.Level(n%20), message, 0)
		r.AddAttrs(slog.String(key, value), slog.Int64(value, n), slog.Duration("took", time.Duration(n)))
		same(t, r)
	})
}

func BenchmarkLine(b *testing.B) {
	//nolint:sloglint // The handler that writes is measured, not the one that does nothing.
	for name, handler := range map[string]slog.Handler{"own": jsonlog.New(io.Discard), "slog": slog.NewJSONHandler(io.Discard, nil)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			now := time.Now()
			for b.Loop() {
				r := slog.NewRecord(now, slog.LevelInfo, "call", 0)
				r.AddAttrs(slog.String("method", "/m365.backupstorage.v1.ServiceAppService/ListServiceApps"), slog.Duration("duration", 1234567),
					slog.String("requestId", "11111111-2222-4333-8444-000000000001"), slog.Int("attempts", 1), slog.String("code", "OK"))
				_ = handler.Handle(b.Context(), r)
			}
		})
	}
}
