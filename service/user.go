package service

import (
	"context"
	"strings"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service/internal/apierror"
	"github.com/m365backup/backupstorage/service/internal/interceptor"
)

const assertionKey = "x-user-assertion"

// maxAssertion leaves room for the rest of the metadata, which may be 16 KiB in all.
const maxAssertion = 12 << 10

// assertionOf returns the access token of the user on whose behalf a call is made, empty when it is made by the
// application. Whether the token is any good is for the token source and its authority to say.
func assertionOf(ctx context.Context) (string, error) {
	values := interceptor.Header(ctx, assertionKey)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 || values[0] == "" || len(values[0]) > maxAssertion || strings.ContainsFunc(values[0], isNoTokenCharacter) {
		return "", apierror.RefuseField(pb.ErrorReason_INVALID_REQUEST, assertionKey, "one access token of at most 12 KiB, without \"Bearer\"")
	}
	return values[0], nil
}

func isNoTokenCharacter(r rune) bool { return r <= ' ' || r > '~' }

// userOf names the user of an assertion in a way that lasts longer than the assertion, empty when there is none.
func userOf(assertion string) string {
	if assertion == "" {
		return ""
	}
	if claims, ok := graph.ReadClaims(assertion); ok && claims.User != "" {
		return claims.User
	}
	return assertion
}
