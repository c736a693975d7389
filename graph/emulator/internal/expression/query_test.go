package expression

import (
	"strings"
	"testing"
	"time"
)

func TestPatternsWithStars(t *testing.T) {
	for _, tc := range []struct {
		text, pattern string
		want          bool
	}{
		{"", "", true}, {"", "*", true}, {"", "**", true}, {"a", "", false}, {"abc", "abc", true}, {"abc", "ab", false},
		{"abc", "a*", true}, {"abc", "*c", true}, {"abc", "*b*", true}, {"abc", "b*", false}, {"abc", "*b", false},
		{"abc", "a*c", true}, {"abab", "*ab", true}, {"aba", "ab*ba", false}, {"abba", "ab*ba", true}, {"a*b", "a*b", true},
		{"one two three", "one*two*three", true}, {"one three two", "one*two*three", false}, {"aaa", "a*a*a*a", false},
	} {
		if got := like(tc.text, tc.pattern); got != tc.want {
			t.Errorf("%q -like %q: %v, want %v", tc.text, tc.pattern, got, tc.want)
		}
	}
}

func TestExpressionsAreReadToTheirEnd(t *testing.T) {
	ok := "Subject -eq 'x'"
	all := func(n int, property, operator, value string) string {
		return strings.TrimSuffix(strings.Repeat(property+" "+operator+" '"+value+"' -or ", n), " -or ")
	}
	for _, tc := range []struct {
		name, text string
		want       string // "", bad or long
	}{
		{"a comparison", ok, ""},
		{"Brackets around it", "((" + ok + "))", ""},
		{"both operators", ok + " -and " + ok + " -or " + ok, ""},
		{"nothing", "", "bad"},
		{"blanks", "  ", "bad"},
		{"nothing after an operator", ok + " -and", "bad"},
		{"nothing before an operator", "-or " + ok, "bad"},
		{"two comparisons without an operator", ok + " " + ok, "bad"},
		{"an empty bracket", "()", "bad"},
		{"Brackets the wrong way round", ")" + ok + "(", "bad"},
		{"a literal without an end", "Subject -eq 'x", "bad"},
		{"a literal in double quotes", `Subject -eq "x"`, "bad"},
		{"a quote that is not doubled", "Subject -eq 'a'b'", "bad"},
		{"five comparisons of each property", all(5, "Subject", "-eq", "x") + " -or " + all(5, "Sender", "-like", "x") + " -or " +
			all(5, "HasAttachment", "-eq", "true") + " -or " + all(5, "PitrDumpsterActionTriggeredTime", "-lt", "2030-01-01T00:00:00Z"), ""},
		{"six of one", all(6, "Sender", "-eq", "x"), "bad"},
		{"20 levels of Brackets", strings.Repeat("(", 20) + ok + strings.Repeat(")", 20), ""},
		{"21 levels of Brackets", strings.Repeat("(", 21) + ok + strings.Repeat(")", 21), "long"},
		{"4096 bytes", "Subject -eq '" + strings.Repeat("x", 4096-len("Subject -eq ''")) + "'", ""},
		{"4097 bytes", "Subject -eq '" + strings.Repeat("x", 4097-len("Subject -eq ''")) + "'", "long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseQuery(tc.text, MailVocabulary())
			got := ""
			if err != nil {
				got = map[bool]string{true: "long", false: "bad"}[err.Code == CodeTooLong]
			}
			if got != tc.want {
				t.Errorf("%q (%v), want %q", got, err, tc.want)
			}
		})
	}
}

func TestEachVocabularyKnowsItsOwnPropertiesOnly(t *testing.T) {
	for text, vocabularies := range map[string][2]bool{ // mail, browse
		"Sender -eq 'x'": {true, false}, "name -contains 'x'": {false, true}, "NAME -CONTAINS 'x'": {false, true},
		"Sender -contains 'x'": {false, false}, "name -gt 'x'": {false, false}, "name -eq 'x'": {false, true},
	} {
		for i, known := range []Vocabulary{MailVocabulary(), BrowseVocabulary()} {
			if _, err := ParseQuery(text, known); (err == nil) != vocabularies[i] {
				t.Errorf("%q in Vocabulary %d: %v", text, i, err)
			}
		}
	}
}

func TestTimesCompareAndWhatNeverHappenedDoesNot(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for operator, want := range map[string][3]bool{ // before, at, after
		"-gt": {false, false, true}, "-ge": {false, true, true}, "-lt": {true, false, false}, "-le": {true, true, false},
	} {
		for i, have := range []time.Time{at.Add(-1), at, at.Add(1)} {
			x := &Comparison{Operator: operator, time: at}
			if got := x.HoldsTime(have); got != want[i] {
				t.Errorf("%v %s %v: %v", have, operator, at, got)
			}
			if x.HoldsTime(time.Time{}) {
				t.Errorf("%s holds for what never happened", operator)
			}
		}
	}
}
