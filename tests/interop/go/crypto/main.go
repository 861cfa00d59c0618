// Command crypto answers questions about ciphertexts and signatures with Go's own libraries: crypto/rsa, crypto/ecdsa,
// crypto/hpke and the ecies package of go-ethereum. A question is a line on standard input, an operation and arguments
// in hex (`-` for none) separated by spaces; the answer is a line of hex, or `error: ..`.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// operation takes the arguments of a question.
type operation struct {
	arguments int
	run       func(a [][]byte) ([]byte, error)
}

var operations = map[string]operation{
	"oaep-encrypt":  {5, oaepEncrypt},
	"oaep-decrypt":  {4, oaepDecrypt},
	"v15-encrypt":   {2, v15Encrypt},
	"v15-decrypt":   {2, v15Decrypt},
	"pss-sign":      {3, pssSign},
	"pss-verify":    {4, pssVerify},
	"v15-sign":      {2, v15Sign},
	"v15-verify":    {3, v15Verify},
	"ecies-encrypt": {4, eciesEncrypt},
	"ecies-decrypt": {4, eciesDecrypt},
	"ecdsa-sign":    {3, ecdsaSign},
	"ecdsa-verify":  {4, ecdsaVerify},
	"hybrid-seal":   {3, hybridSeal},
	"hybrid-open":   {3, hybridOpen},
	"hpke-seal":     {3, hpkeSeal},
	"hpke-open":     {3, hpkeOpen},
}

func answer(line string) ([]byte, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, fmt.Errorf("an empty question")
	}
	op, ok := operations[words[0]]
	if !ok || len(words)-1 != op.arguments {
		return nil, fmt.Errorf("%q with %d arguments is no operation", words[0], len(words)-1)
	}
	var arguments [][]byte
	for _, word := range words[1:] {
		argument, err := hex.DecodeString(strings.TrimPrefix(word, "-"))
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, argument)
	}
	return op.run(arguments)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		bytes, err := answer(lines.Text())
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		fmt.Println("ok " + hex.EncodeToString(bytes))
	}
}
