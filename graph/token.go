package graph

import (
	"context"
	"encoding/base64"
	"encoding/json"
)

// Unsigned is the token source for upstreams on this machine that check no signature, such as the emulator: a token
// that names the tenant and says nothing else.
type Unsigned struct{}

// Token returns a JWT without signature whose only claim is the tenant. It never fails.
func (Unsigned) Token(_ context.Context, tenant string) (string, error) {
	claims, err := json.Marshal(struct {
		Tenant string `json:"tid"`
	}{tenant})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(claims) + ".", nil
}
