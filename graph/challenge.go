package graph

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

const (
	// insufficientClaims is the code with which Graph demands a token with further claims.
	insufficientClaims = "insufficient_claims"
	// maxClaims bounds the claims that are passed on, in bytes of JSON.
	maxClaims = 4 << 10
)

// challenge reports whether a new token may help, and which claims it must have, if any.
func (e *Error) challenge() (claims string, ok bool) {
	if e.Kind != KindResponse {
		return "", false
	}
	return e.claims, e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden && e.InsufficientClaims
}

// without is the error of a request whose challenge brought no other token:
//
//	the failure to get one                what the error says
//	------------------------------------  --------------------------------------------------------------------
//	the application or user was refused   Graph's error about the last token, and as Err why there is no other
//	anything else                         why there is no other token, with head and codes of Graph's response
func (e *Error) without(token *Error) *Error {
	result := *token
	if token.Token == TokenRefused || token.Token == TokenAssertionRefused {
		result = *e
		result.Err = token.Err
		return &result
	}
	result.Meta, result.Codes = e.Meta, e.Codes
	return &result
}

// readChallenge reads what a response says about tokens (RFC 6750, and Microsoft's claims challenge).
func (e *Error) readChallenge(header http.Header) {
	if e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden {
		return
	}
	for _, code := range e.Codes {
		e.InsufficientClaims = e.InsufficientClaims || strings.EqualFold(code, insufficientClaims)
	}
	for _, value := range header.Values("Www-Authenticate") {
		parameters, ok := bearerParameters(value)
		if !ok {
			continue
		}
		if strings.EqualFold(parameters["error"], insufficientClaims) {
			e.InsufficientClaims = true
		}
		if claims := decodeClaims(parameters["claims"]); claims != "" {
			e.claims = claims
		}
	}
}

// bearerParameters returns the parameters of the Bearer challenge in a header of one or several challenges.
func bearerParameters(value string) (parameters map[string]string, ok bool) {
	scheme, rest := "", value
	for rest != "" {
		var word string
		rest = strings.TrimLeft(rest, " \t,")
		end := strings.IndexAny(rest, " \t,=")
		if end < 0 {
			end = len(rest)
		}
		word, rest = rest[:end], rest[end:]
		if !strings.HasPrefix(strings.TrimLeft(rest, " \t"), "=") {
			// A word without a value is the scheme of the next challenge.
			if scheme = word; word == "" {
				return parameters, ok
			}
			if strings.EqualFold(scheme, "Bearer") && !ok {
				parameters, ok = make(map[string]string), true
			}
			continue
		}
		var text string
		text, rest = parameterValue(strings.TrimLeft(strings.TrimLeft(rest, " \t")[1:], " \t"))
		if name := strings.ToLower(word); strings.EqualFold(scheme, "Bearer") && parameters[name] == "" {
			parameters[name] = text
		}
	}
	return parameters, ok
}

// parameterValue reads a token or a quoted string, and returns the rest after it.
func parameterValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, " \t,")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:]
	}
	var text strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return text.String(), s[i+1:]
		case c == '\\' && i+1 < len(s):
			i++
			text.WriteByte(s[i])
		default:
			text.WriteByte(c)
		}
	}
	return text.String(), ""
}

// decodeClaims returns the JSON object of a claims challenge; empty when there is none or it is too large.
func decodeClaims(text string) string {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if len(text) > base64.RawStdEncoding.EncodedLen(maxClaims) {
		return ""
	}
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	var object map[string]json.RawMessage
	if err != nil || json.Unmarshal(decoded, &object) != nil || object == nil {
		return ""
	}
	return string(decoded)
}
