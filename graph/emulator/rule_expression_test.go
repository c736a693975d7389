package emulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const someGroup = "b418eb4a-ea72-42bd-8f0b-d0bbf794bec7"

func memberOf(n int) string {
	return "memberOf -any (group.id -in ['" + strings.Repeat(someGroup+"','", n-1) + someGroup + "'])"
}

func contains(n int) string {
	return strings.TrimSuffix(strings.Repeat("webUrl -contains 'abc' -or ", n), " -or ")
}

func TestExpressionsThatAreUnderstood(t *testing.T) {
	for _, tc := range []struct {
		name    string
		w       Workload
		dynamic bool
		text    string
	}{
		{"Microsoft's sample of a mailbox rule", Exchange, false, "(memberOf -any (group.id -in ['" + someGroup + "']))"},
		{"Microsoft's sample of a site rule with names", SharePoint, false, "((displayName -contains 'Finance')  -or  (displayName -contains 'Legal'))"},
		{"Microsoft's sample of a site rule with URLs", SharePoint, false, "((webUrl -contains 'Finance')  -or  (webUrl -contains 'Legal'))"},
		{"Microsoft's sample of a site rule with a date", SharePoint, false,
			"(((displayName -contains 'Finance') -or (webUrl -contains 'Legal')) -and (lastModifiedDateTime -ge '2024-02-26T11:36:20Z'))"},
		{"no brackets around the whole", OneDrive, false, memberOf(1)},
		{"white space of every kind and none", OneDrive, true, "\n((\tmemberOf\r-any(group.id -in['" + someGroup + "' ,\t'" + someGroup + "']) ) )  "},
		{"a group id in upper case", Exchange, true, "memberOf -any (group.id -in ['" + strings.ToUpper(someGroup) + "'])"},
		{"several memberships", Exchange, true, memberOf(1) + " -and " + memberOf(2) + " -or (" + memberOf(3) + ")"},
		{"100 groups in a dynamic rule", Exchange, true, memberOf(100)},
		{"3 groups in a static rule", Exchange, false, memberOf(3)},
		{"10 keywords", SharePoint, false, contains(10)},
		{"a keyword of 3 characters of several bytes", SharePoint, false, "webUrl -contains 'äöü'"},
		{"a keyword of 255 characters", SharePoint, false, "webUrl -contains '" + strings.Repeat("ü", 255) + "'"},
		{"a quote in a keyword", SharePoint, false, "displayName -contains 'O''Hara''s'"},
		{"19 levels of brackets", SharePoint, false, strings.Repeat("(", 19) + "webUrl -contains 'abc'" + strings.Repeat(")", 19)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if x, err := parseRule(tc.text, tc.w, tc.dynamic); err != nil || x == nil {
				t.Errorf("%s: %v", tc.text, err)
			}
		})
	}
}

func TestExpressionsThatAreRefused(t *testing.T) {
	const limit = "InvalidRuleExpressionGroupLimitExceeded"
	for _, tc := range []struct {
		name    string
		w       Workload
		dynamic bool
		text    string
		status  int
		code    string
	}{
		{"nothing", Exchange, false, "", 400, codeBadRule},
		{"white space", Exchange, false, " \n", 400, codeBadRule},
		{"brackets without content", Exchange, false, "()", 400, codeBadRule},
		{"a bracket that stays open", Exchange, false, "(" + memberOf(1), 400, codeBadRule},
		{"a bracket too many", Exchange, false, memberOf(1) + ")", 400, codeBadRule},
		{"a literal without an end", SharePoint, false, "webUrl -contains 'abc", 400, codeBadRule},
		{"a literal that ends in a doubled quote", SharePoint, false, "webUrl -contains 'abc''", 400, codeBadRule},
		{"a literal without quotes", SharePoint, false, "webUrl -contains abc", 400, codeBadRule},
		{"a literal in double quotes", SharePoint, false, `webUrl -contains "abc"`, 400, codeBadRule},
		{"nothing after the operator", SharePoint, false, "webUrl -contains", 400, codeBadRule},
		{"another operator", SharePoint, false, "webUrl -eq 'abc'", 400, codeBadRule},
		{"another property", SharePoint, false, "title -contains 'abc'", 400, codeBadRule},
		{"a property in other letters", SharePoint, false, "weburl -contains 'abc'", 400, codeBadRule},
		{"a site's property in a mailbox rule", Exchange, false, "displayName -contains 'abc'", 400, codeBadRule},
		{"a membership in a site rule", SharePoint, false, memberOf(1), 400, codeBadRule},
		{"nothing after -or", SharePoint, false, contains(1) + " -or", 400, codeBadRule},
		{"two comparisons without an operator", SharePoint, false, contains(1) + " " + contains(1), 400, codeBadRule},
		{"a date that is none", SharePoint, false, "lastModifiedDateTime -ge 'yesterday'", 400, codeBadRule},
		{"a date with another operator", SharePoint, false, "lastModifiedDateTime -le '2024-02-26T11:36:20Z'", 400, codeBadRule},
		{"no group", Exchange, false, "memberOf -any (group.id -in [])", 400, codeBadRule},
		{"a group that is no GUID", Exchange, false, "memberOf -any (group.id -in ['all'])", 400, codeBadRule},
		{"a group without quotes", Exchange, false, "memberOf -any (group.id -in [" + someGroup + "])", 400, codeBadRule},
		{"a comma too many", Exchange, false, "memberOf -any (group.id -in ['" + someGroup + "',])", 400, codeBadRule},
		{"-all instead of -any", Exchange, false, "memberOf -all (group.id -in ['" + someGroup + "'])", 400, codeBadRule},
		{"101 groups in a dynamic rule", Exchange, true, memberOf(101), 413, limit},
		{"101 groups in a static rule", Exchange, false, memberOf(50) + " -or " + memberOf(51), 413, limit},
		{"4 groups in a static rule", Exchange, false, memberOf(4), 400, codeBadRule},
		{"11 keywords", SharePoint, false, contains(11), 400, codeBadRule},
		{"a keyword of 2 characters", SharePoint, false, "webUrl -contains 'äö'", 400, codeBadRule},
		{"a keyword of 256 characters", SharePoint, false, "webUrl -contains '" + strings.Repeat("x", 256) + "'", 400, codeBadRule},
		{"20 levels of brackets", SharePoint, false, strings.Repeat("(", 20) + "webUrl -contains 'abc'" + strings.Repeat(")", 20), 400, codeBadRule},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseRule(tc.text, tc.w, tc.dynamic)
			if err == nil || err.status != tc.status || err.code != tc.code || len(err.message) > 500 {
				t.Errorf("%s: %v", tc.text, err)
			}
		})
	}
}

func TestWhichSitesAnExpressionSelects(t *testing.T) {
	d := newDirectory(TenantA, 10, 50, 1)
	born := time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC) // site n was changed n days before
	for text, want := range map[string]string{
		"displayName -contains 'Site 49'":                                                                   "[49]",
		"displayName -contains 'SITE 4'":                                                                    "[4 40 41 42 43 44 45 46 47 48 49]",
		"webUrl -contains 'te-5' -and webUrl -contains '50'' '":                                             "[]",
		"webUrl -contains 'site-5'":                                                                         "[5 50]",
		"webUrl -contains 'site-5' -and displayName -contains 'e 50'":                                       "[50]",
		"webUrl -contains 'site-7' -or webUrl -contains 'site-5' -and displayName -contains 'e 50'":         "[7 50]",
		"(webUrl -contains 'site-7' -or webUrl -contains 'site-5') -and displayName -contains 'e 50'":       "[50]",
		"lastModifiedDateTime -ge '2030-01-29T00:00:00Z'":                                                   "[1 2]",
		"lastModifiedDateTime -ge '2030-01-29T00:00:00.1Z'":                                                 "[1]",
		"lastModifiedDateTime -ge '2030-01-01T00:00:00+02:00' -and displayName -contains 'te 2'":            "[2 20 21 22 23 24 25 26 27 28 29]",
		"lastModifiedDateTime -ge '2031-01-01T00:00:00Z'":                                                   "[]",
		"displayName -contains 'nothing' -or (displayName -contains 'te 3' -and webUrl -contains 'site-3')": "[3 30 31 32 33 34 35 36 37 38 39]",
	} {
		x, err := parseRule(text, SharePoint, false)
		if err != nil {
			t.Fatal(err)
		}
		got := []int{}
		for n := 1; n <= d.sites; n++ {
			if x.Matches(func(x *ruleComparison) bool { return x.fits(d.site(n), born.AddDate(0, 0, -n)) }) {
				got = append(got, n)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
}

func FuzzRuleExpression(f *testing.F) {
	for _, text := range []string{
		"", "(", "'", "''''", "[,]", memberOf(3), contains(3), "(" + memberOf(1) + ")-and" + memberOf(1),
		"lastModifiedDateTime -ge '2024-02-26T11:36:20Z'", "webUrl-contains'abc'", strings.Repeat("(", 1000), "\xff'\x00'",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for w := Exchange; w <= SharePoint; w++ {
			x, err := parseRule(text, w, true)
			if err != nil {
				if err.status != http.StatusBadRequest && err.status != http.StatusRequestEntityTooLarge ||
					err.code == "" || err.message == "" || len(err.message) > 1000 {
					t.Errorf("%q: %v", text, err)
				}
				continue
			}
			x.Matches(func(x *ruleComparison) bool {
				return x.fits(site{name: "Site 1", webURL: "https://a.sharepoint.example/sites/site-1"}, time.Time{})
			})
			if n, depth := measure(x); n > len(text) || depth > 2*maxRuleNesting {
				t.Errorf("%q became %d nodes, %d deep", text, n, depth)
			}
		}
	})
}

func measure(x *ruleExpression) (nodes, depth int) {
	nodes = 1
	for _, part := range x.Parts {
		n, d := measure(part)
		nodes, depth = nodes+n, max(depth, d)
	}
	return nodes, depth + 1
}
