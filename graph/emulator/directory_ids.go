package emulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The tenants that exist from the start. A has the service enabled and no
// policy, B has it disabled and its data store not initialised, C is at work: it
// has an active Exchange policy with 20 mailboxes, the first two of them held by
// a dynamic rule. Any other tenant GUID comes to life on first use, like B.
const (
	TenantA = "aaaaaaaa-0000-4000-8000-00000000000a"
	TenantB = "bbbbbbbb-0000-4000-8000-00000000000b"
	TenantC = "cccccccc-0000-4000-8000-00000000000c"
	// TenantDemo is a small company with a story, [ScenarioDemo]. It comes to life on first use.
	TenantDemo = "eeeeeeee-0000-4000-8000-00000000000e"
)

// DefaultApp is the application that acts when the token names none.
const DefaultApp = "dddddddd-0000-4000-8000-00000000000d"

// Ids of tenant A that never change. [UserID], [SiteID], [GroupID] and [UnitID]
// compute all the others.
const (
	UserA1 = "e0000001-67ef-4440-8a1c-000000000001" // an ordinary user with mailbox and drive
	UserA2 = "e0000001-67ef-4440-8a1c-000000000002" // another
	UserA3 = "e0000001-67ef-4440-8a1c-000000000003" // another

	UserANoLicense        = "e0000001-67ef-4440-8a1c-000000000004" // has neither mailbox nor drive
	UserARestoreFails     = "e0000001-67ef-4440-8a1c-000000000005" // each of its restores fails
	UserAPreservationLock = "e0000001-67ef-4440-8a1c-000000000006" // cannot be restored in place

	SiteA1 = "a.sharepoint.example,e0000003-67ef-4440-8a1c-000000000001,e0000004-67ef-4440-8a1c-000000000001"
	SiteA2 = "a.sharepoint.example,e0000003-67ef-4440-8a1c-000000000002,e0000004-67ef-4440-8a1c-000000000002"
	SiteA3 = "a.sharepoint.example,e0000003-67ef-4440-8a1c-000000000003,e0000004-67ef-4440-8a1c-000000000003"

	GroupA1      = "e0000002-67ef-4440-8a1c-000000000001" // flat: users 1 to 10
	GroupA2      = "e0000002-67ef-4440-8a1c-000000000002" // flat: users 11 to 20
	GroupANested = "e0000002-67ef-4440-8a1c-000000000005" // holds groups 1 and 2
)

// Numbers of the users that are out of the ordinary, the same in each tenant.
const (
	UserNoLicense        = 4
	UserRestoreFails     = 5
	UserPreservationLock = 6
)

// PolicyC is the id of tenant C's Exchange policy, UnitCDynamic one of its
// mailbox units that a dynamic rule holds, UnitCManual one added by hand.
const (
	PolicyC      = "b71df0ed-09d4-41c7-8a7e-362675b6c0c6"
	UnitCDynamic = "e0000011-f1af-426c-8b0c-000000000001"
	UnitCManual  = "e0000011-f1af-426c-8b0c-000000000003"
)

// idKind is the first group of a GUID that carries a number: what it numbers.
type idKind string

const (
	kindUser        idKind = "e0000001"
	kindGroup       idKind = "e0000002"
	kindSite        idKind = "e0000003"
	kindWeb         idKind = "e0000004"
	kindMailboxUnit idKind = "e0000011"
	kindDriveUnit   idKind = "e0000012"
	kindSiteUnit    idKind = "e0000013"
)

// UserID returns the object id of user number n (from 1) of a tenant.
func UserID(tenant string, n int) string { return numberedID(kindUser, tenantSalt(tenant), n) }

// GroupID returns the object id of group number n (from 1) of a tenant.
func GroupID(tenant string, n int) string { return numberedID(kindGroup, tenantSalt(tenant), n) }

// SiteID returns the id `host,siteGuid,webGuid` of site number n (from 1) of a
// tenant.
func SiteID(tenant string, n int) string { return newDirectory(tenant, 0, 0, 0).siteID(n) }

// UnitID returns the id that the protection unit of user or site number n has,
// or would get once it is added to a policy.
func UnitID(tenant string, w Workload, n int) string {
	return numberedID(w.info().unitKind, tenantSalt(tenant), n)
}

// SeededPolicyID returns the id that a tenant's seeded policy for a workload has.
func SeededPolicyID(tenant string, w Workload) string {
	return hashedID(strings.ToLower(tenant), "seeded policy", w)
}

// tenantSalt is the middle of every numbered GUID of a tenant, so that ids of
// two tenants never meet.
func tenantSalt(tenant string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(tenant)))
	h := hex.EncodeToString(sum[:5])
	return h[:4] + "-4" + h[4:7] + "-8" + h[7:10]
}

func numberedID(kind idKind, salt string, n int) string {
	digits := strconv.FormatInt(int64(n), 16)
	const zeros = "000000000000"
	if len(digits) > len(zeros) {
		digits = digits[len(digits)-len(zeros):]
	}
	return string(kind) + "-" + salt + "-" + zeros[len(digits):] + digits
}

// numberOf undoes numberedID. It reports false for an id of another kind, of
// another tenant, or without a number.
func numberOf(kind idKind, salt, id string) (int, bool) {
	id = strings.ToLower(id)
	prefix := string(kind) + "-" + salt + "-"
	if len(id) != len(prefix)+12 || !strings.HasPrefix(id, prefix) {
		return 0, false
	}
	n, err := strconv.ParseInt(id[len(prefix):], 16, 64)
	if err != nil || n < 1 {
		return 0, false
	}
	return int(n), true
}

// hashedID derives a GUID from words: the same words, the same GUID.
func hashedID(words ...any) string {
	h := sha256.New()
	for _, w := range words {
		fmt.Fprintf(h, "%v\x00", w)
	}
	s := hex.EncodeToString(h.Sum(nil)[:16])
	return s[:8] + "-" + s[8:12] + "-4" + s[13:16] + "-8" + s[17:20] + "-" + s[20:32]
}

// isGUID tells whether s is 8-4-4-4-12 hexadecimal digits in either case.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

// isUnitID tells whether s has a shape that the service gives to protection
// units: a GUID, or base64 of `<guid>_<digits>`.
func isUnitID(s string) bool {
	if isGUID(s) {
		return true
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return false
	}
	guid, digits, found := strings.Cut(string(raw), "_")
	if !found || !isGUID(guid) || digits == "" {
		return false
	}
	_, err = strconv.ParseUint(digits, 10, 16)
	return err == nil
}

// canonicalUnitID lowers a GUID; the base64 form is kept as it is.
func canonicalUnitID(id string) string {
	if isGUID(id) {
		return strings.ToLower(id)
	}
	return id
}
