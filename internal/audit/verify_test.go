package audit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// written is a line as it stands in a file.
func written(instance string, seq int, k kind, more ...string) string {
	return fmt.Sprintf(`{"time":%q,"instance":%q,"seq":%d,"kind":%q%s}`,
		start0.Add(time.Duration(seq)*time.Second).Format(time.RFC3339), instance, seq, k, strings.Join(more, "")) + "\n"
}

// run is an instance from its start to its end, without the lines of some seqs.
func run(instance string, last int, without ...int) []string {
	var all []string
	for seq := 1; seq <= last; seq++ {
		k := kindRead
		switch seq {
		case 1:
			k = kindStart
		case last:
			k = kindEnd
		}
		gone := false
		for _, other := range without {
			gone = gone || other == seq
		}
		if !gone {
			all = append(all, written(instance, seq, k))
		}
	}
	return all
}

func TestVerify(t *testing.T) {
	join := func(all ...[]string) string {
		var b strings.Builder
		for _, lines := range all {
			b.WriteString(strings.Join(lines, ""))
		}
		return b.String()
	}
	reversed := run("a", 50)
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	mixed := run("a", 500)
	rand.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	const last = "  there is no last line: the process runs, was killed, or the end is not in these files\n"
	for name, test := range map[string]struct {
		files []string
		whole bool
		want  string
	}{
		"whole":           {[]string{join(run("a", 5))}, true, "instance a: seq 1 to 5, from 2026-11-26T12:00:01Z to 2026-11-26T12:00:05Z\n5 lines of 1 instances, 0 gaps\n"},
		"two instances":   {[]string{join(run("b", 5), run("a", 3))}, true, "8 lines of 2 instances, 0 gaps"},
		"two files":       {[]string{join(run("a", 9)[4:]), join(run("a", 9)[:4])}, true, "instance a: seq 1 to 9"},
		"backwards":       {[]string{join(reversed)}, true, "instance a: seq 1 to 50"},
		"in any order":    {[]string{join(mixed)}, true, "instance a: seq 1 to 500"},
		"empty":           {[]string{""}, true, "0 lines of 0 instances, 0 gaps\n"},
		"blank lines":     {[]string{"\n" + join(run("a", 3)) + "\n\n"}, true, "3 lines of 1 instances"},
		"no last feed":    {[]string{strings.TrimSuffix(join(run("a", 3)), "\n")}, true, "3 lines of 1 instances"},
		"a line removed":  {[]string{join(run("a", 9, 4))}, false, "  seq 4 to 4 are missing: they were removed, or are not in these files\n"},
		"lines removed":   {[]string{join(run("a", 9, 4, 5, 7))}, false, "  seq 4 to 5 are missing: they were removed, or are not in these files\n  seq 7 to 7 are missing: they were removed, or are not in these files\n6 lines of 1 instances, 2 gaps"},
		"lines lost":      {[]string{join(run("a", 2), []string{written("a", 6, kindRead, `,"lost":3`)})}, false, "  seq 3 to 5 are missing: they could not be written when they came\n"},
		"lost and gone":   {[]string{join(run("a", 2), []string{written("a", 6, kindRead, `,"lost":2`)})}, false, "  seq 3 to 5 are missing: they were removed, or are not in these files\n"},
		"no beginning":    {[]string{join(run("a", 9)[3:])}, true, "  seq 1 to 3 are not in these files\n"},
		"no end":          {[]string{join(run("a", 9)[:7])}, true, last},
		"a file twice":    {[]string{join(run("a", 9)), join(run("a", 9))}, false, "  9 lines have a seq that was there before\n"},
		"a changed copy":  {[]string{join(run("a", 3), []string{written("a", 2, kindDenied)})}, false, "  1 lines have a seq that was there before\n"},
		"a line cut off":  {[]string{join(run("a", 3)) + `{"time":"2026`}, false, "file0:4: is no whole audit line\n"},
		"another log":     {[]string{`{"time":"2026-11-26T12:00:00Z","level":"INFO"}` + "\n" + join(run("a", 3))}, false, "file0:1: is no whole audit line\n"},
		"a huge line":     {[]string{strings.Repeat("a", 200_000) + "\n" + join(run("a", 3))}, false, "file0:1: is no whole audit line\n4 lines of 1 instances, 0 gaps\n"},
		"many bad lines":  {[]string{strings.Repeat("bad\n", 30)}, false, "file0:20: is no whole audit line\n10 more lines are no whole audit lines\n"},
		"a bad instance":  {[]string{written("\x1b[2J", 1, kindStart)}, false, "file0:1: is no whole audit line\n"},
		"no seq":          {[]string{written("a", 0, kindStart)}, false, "file0:1: is no whole audit line\n"},
		"outcome":         {[]string{written("a", 1, kindAttempt) + written("a", 2, kindOutcome, `,"attempt":1`)}, true, "12:00:02Z\n" + last},
		"outcome earlier": {[]string{written("a", 2, kindOutcome, `,"attempt":1`) + written("a", 1, kindAttempt)}, true, "12:00:02Z\n" + last},
		"no outcome":      {[]string{written("a", 1, kindAttempt, `,"rpc":"A/B","requestId":"r\u001b1"`)}, true, `  seq 1 has no outcome, the write may have been carried out: 2026-11-26T12:00:01Z "A/B", request id "r\x1b1"` + "\n"},
	} {
		var inputs []Input
		for n, text := range test.files {
			inputs = append(inputs, Input{fmt.Sprintf("file%d", n), strings.NewReader(text)})
		}
		text, whole, err := Verify(inputs...)
		if err != nil || whole != test.whole || !strings.Contains(text, test.want) {
			t.Errorf("%s: whole is %v (%v):\n%swant %v:\n%s", name, whole, err, text, test.whole, test.want)
		}
	}
	if _, whole, err := Verify(Input{"a", iotest.ErrReader(errors.New("input/output error"))}); err == nil || whole {
		t.Errorf("a file that cannot be read is whole: %v (%v)", whole, err)
	}
	var attempts strings.Builder
	for seq := 1; seq <= 25; seq++ {
		attempts.WriteString(written("a", seq, kindAttempt))
	}
	text, _, _ := Verify(Input{"a", strings.NewReader(attempts.String())})
	if strings.Count(text, "has no outcome") != 20 || !strings.Contains(text, "  5 more attempts have no outcome\n") {
		t.Errorf("25 attempts:\n%s", text)
	}
}
